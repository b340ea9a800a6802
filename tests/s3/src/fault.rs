//! What goes wrong between a store and who asks it.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use s3s::{Body, HttpError};

/// How somebody is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The signature does not fit: the server answers 403.
    Deny,
    /// The last byte is another one.
    Alter,
    /// It begins, and then nothing comes.
    Stall,
    /// The connection ends in the middle.
    Cut,
}

/// Spoils the signature in the query: another digit in the place of its first.
pub(crate) fn forge(request: &mut s3s::HttpRequest) {
    let text = request.uri().to_string();
    let Some((before, signature)) = text.split_once("X-Amz-Signature=") else {
        return;
    };
    let digit = if signature.starts_with('0') { '1' } else { '0' };
    let rest = signature.get(1..).unwrap_or_default();
    if let Ok(uri) = format!("{before}X-Amz-Signature={digit}{rest}").parse() {
        *request.uri_mut() = uri;
    }
}

/// Spoils an answer.
pub(crate) async fn spoil(
    response: s3s::HttpResponse,
    fault: Fault,
) -> Result<s3s::HttpResponse, HttpError> {
    let (mut parts, body) = response.into_parts();
    let content = BodyExt::collect(body).await.map_err(HttpError::new)?;
    let content = content.to_bytes().to_vec();
    parts.headers.insert(
        hyper::header::CONTENT_LENGTH,
        hyper::header::HeaderValue::from(content.len()),
    );
    let half = Bytes::copy_from_slice(content.get(..content.len() / 2).unwrap_or_default());
    let body = match fault {
        Fault::Deny => Body::from(content),
        Fault::Alter => {
            let mut content = content;
            if let Some(last) = content.last_mut() {
                *last ^= 1;
            }
            Body::from(content)
        }
        Fault::Stall => {
            let waits = stream::once(tokio::time::sleep(Duration::from_secs(3600)));
            after(half, waits.filter_map(async |()| None).boxed())
        }
        Fault::Cut => {
            let cut = stream::once(async { Err(std::io::Error::other("cut off")) });
            after(half, cut.boxed())
        }
    };
    Ok(s3s::HttpResponse::from_parts(parts, body))
}

type Frames = stream::BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>;

fn after(first: Bytes, then: Frames) -> Body {
    let first = stream::once(async { Ok(Frame::data(first)) });
    Body::http_body_unsync(StreamBody::new(first.chain(then)))
}
