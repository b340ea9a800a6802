//! Whether a rollout may begin now: the service's window, waiting for it, and not heeding it.

use std::time::Duration;

use super::args::WindowArgs;
use super::error::CliError;
use super::exit::ExitCode;
use super::screen::Screen;
use crate::core::fleet::Service;
use crate::core::time::Timestamp;
use crate::core::window::{Opening, Window, Windowed};
use crate::driver::SystemClock;
use crate::ports::Clock;
use crate::report::Output;
use crate::report::time::age;

/// A clock may be set, and a machine may sleep: it is looked at again after so long.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What a rollout that begins now has to do with the service's window. Not asked for a rollback, which is never held up.
///
/// # Errors
/// Exit code 5 where it is shut, with the time at which it opens.
pub(crate) fn enter(
    service: &Service,
    args: &WindowArgs,
    now: Timestamp,
) -> Result<Option<Windowed>, CliError> {
    let Some(window) = &service.window else {
        return Ok(None);
    };
    if args.outside_window {
        return Ok(Some(Windowed::Overridden));
    }
    match window.at(now) {
        Opening::Open { closes_at } => Ok(closes_at.map(|closes_at| Windowed::Within {
            closes_at,
            opens_at: next(window, closes_at),
        })),
        Opening::Shut { opens_at, .. } => Err(CliError {
            retry_at: opens_at,
            ..CliError::new(ExitCode::Paused, shut(service, window, now))
                .state("nothing was touched")
                .hint("`--wait` waits for it; `--outside-window` does not heed it; `rollctl rollback` is never held up")
        }),
    }
}

/// Of a rollout whose rollctl died: what it had in flight is finished at any hour, and then it holds where the window is
/// shut.
pub(crate) fn go_on(service: &Service, args: &WindowArgs, now: Timestamp) -> Option<Windowed> {
    enter(service, args, now).unwrap_or_else(|shut| {
        Some(Windowed::Within {
            closes_at: now,
            opens_at: shut.retry_at,
        })
    })
}

/// Why a release would be refused now, for a plan.
pub(crate) fn warning(service: &Service, now: Timestamp) -> Option<String> {
    let window = service.window.as_ref()?;
    matches!(window.at(now), Opening::Shut { .. }).then(|| shut(service, window, now))
}

/// Does it; with `--wait`, once more whenever a window opens for which it was too early.
///
/// # Errors
/// Those of what is done.
pub(crate) async fn waiting(
    args: &WindowArgs,
    screen: &mut Screen,
    mut attempt: impl AsyncFnMut(&mut Screen) -> Result<ExitCode, CliError>,
) -> Result<ExitCode, CliError> {
    loop {
        match attempt(screen).await {
            Err(CliError {
                retry_at: Some(at),
                message,
                ..
            }) if args.wait => {
                if screen.output == Output::Human {
                    screen.note(&format!("{message}; waiting for it\n"));
                }
                sleep_until(at).await;
            }
            ended => return ended,
        }
    }
}

async fn sleep_until(at: Timestamp) {
    loop {
        let left = at.since(SystemClock.now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK_EVERY)).await;
    }
}

fn next(window: &Window, closes_at: Timestamp) -> Option<Timestamp> {
    match window.at(closes_at) {
        Opening::Shut { opens_at, .. } => opens_at,
        Opening::Open { .. } => None,
    }
}

fn shut(service: &Service, window: &Window, now: Timestamp) -> String {
    let name = &service.name;
    let (why, opens_at) = match window.at(now) {
        Opening::Shut {
            opens_at,
            is_frozen: true,
        } => ("is frozen", opens_at),
        Opening::Shut { opens_at, .. } => ("is outside its window", opens_at),
        Opening::Open { .. } => ("is within its window", None),
    };
    match opens_at {
        Some(at) => format!(
            "`{name}` {why}, which opens {} (in {})",
            window.reading(at),
            age(at.since(now))
        ),
        None => format!("`{name}` {why}, and none opens within 400 days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_tried_again_when_the_window_opens_and_only_where_somebody_waits() {
        let mut attempts = Vec::new();
        for (wait, refusals, tries) in [(true, 2, 3), (false, 2, 1), (true, 0, 1)] {
            let args = WindowArgs {
                wait,
                outside_window: false,
            };
            let mut made = 0;
            let mut screen = Screen::of_streams(
                Output::Human,
                Box::new(std::io::sink()),
                Box::new(std::io::sink()),
            );
            let ended = waiting(&args, &mut screen, async |_| {
                made += 1;
                let soon = SystemClock.now() + Duration::from_millis(20);
                match made > refusals {
                    true => Ok(ExitCode::Done),
                    false => Err(CliError {
                        retry_at: Some(soon),
                        ..CliError::new(ExitCode::Paused, "shut")
                    }),
                }
            });
            assert_eq!(ended.await.is_ok(), wait, "{refusals}");
            attempts.push((made, tries));
        }
        for (made, tries) in attempts {
            assert_eq!(made, tries);
        }
    }
}
