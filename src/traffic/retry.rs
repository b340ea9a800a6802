//! Short troubles on the way are nobody's business; those that last are told.

use std::time::Duration;

use crate::ports::TrafficError;

/// Further tries of what changes nothing, or may be done twice.
const AGAIN: u32 = 2;
const PAUSE: Duration = Duration::from_millis(300);

/// Asks again when the trouble may pass.
pub(crate) async fn retried<T, W>(mut ask: impl FnMut() -> W) -> Result<T, TrafficError>
where
    W: Future<Output = Result<T, TrafficError>>,
{
    let mut attempt = 0;
    loop {
        match ask().await {
            Err(error) if error.is_passing && attempt < AGAIN => {
                attempt += 1;
                tokio::time::sleep(PAUSE * attempt).await;
            }
            answered => return answered,
        }
    }
}

/// The errors of several endpoints as one, which says where things went well.
pub(crate) fn all_well<T>(
    doing: &str,
    results: Vec<(String, Result<T, TrafficError>)>,
) -> Result<Vec<(String, T)>, TrafficError> {
    let (mut well, mut errors) = (Vec::new(), Vec::new());
    for (name, result) in results {
        match result {
            Ok(value) => well.push((name, value)),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        return Ok(well);
    }
    let is_passing = errors.iter().all(|error| error.is_passing);
    let mut message: Vec<_> = errors.iter().map(|error| error.message.clone()).collect();
    message.extend(well.iter().map(|(name, _)| format!("{doing} at {name}")));
    Err(TrafficError {
        message: message.join("; "),
        hint: errors.into_iter().find_map(|error| error.hint),
        is_passing,
    })
}
