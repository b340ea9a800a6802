//! A revision on its way to a host, and an adopted file on its way back; each on a channel of its own.

use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::lane::Script;
use super::layout::Meta;
use super::machine::{Machine, Queue, dir, pause};
use super::payload::Payload;
use super::pull::with_pull;
use super::script::{Request, refused};
use crate::core::fleet::Service;
use crate::core::ids::{Digest, RevisionName};
use crate::ports::{Controller, HostError, HostErrorKind, Pull, UploadProgress};

/// How often an upload that was cut off is taken up again.
const AGAIN: u32 = 2;

/// From this size on, in bytes, what has arrived is kept on the host, so that an upload that was cut off goes on where it
/// was. Less is sent again sooner than it is written twice.
const WORTH_KEEPING: u64 = 4 << 20;

/// What is sent at once.
const PIECE: usize = 128 * 1024;

/// In place of how a payload is compressed.
const NO_PAYLOAD: &str = "none";

/// Where the files of a revision come from.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    /// From the controller.
    Payload(&'a Payload),
    /// From the controller, and from the files of a revision that is on the host.
    Delta(&'a Payload, &'a RevisionName),
    /// From where the host fetches them; the payload has the others, if there are any.
    Pull(&'a Pull, Option<&'a Payload>),
    /// From a file that is on the host.
    HostFile(&'a str),
    /// There are none: it is known by reference.
    Nowhere,
}

/// A revision that is to be put on a host.
#[derive(Debug)]
pub(crate) struct Shipment<'a> {
    pub(crate) name: &'a RevisionName,
    pub(crate) digest: &'a Digest,
    pub(crate) meta: &'a Meta,
    pub(crate) source: Source<'a>,
}

impl Shipment<'_> {
    fn size(&self) -> u64 {
        self.payload().map_or(0, |payload| payload.size)
    }

    fn payload(&self) -> Option<&Payload> {
        match self.source {
            Source::Payload(payload) | Source::Delta(payload, _) => Some(payload),
            Source::Pull(_, rest) => rest,
            Source::HostFile(_) | Source::Nowhere => None,
        }
    }

    fn request(&self, service: &Service, controller: &Controller, transfer: &Transfer) -> Request {
        let mut request = step("receive", service, controller);
        if let Some(at) = transfer.at {
            request = request.option("at", at);
        }
        let request = request
            .option("name", self.name)
            .option("digest", self.digest)
            .option("sums", &self.meta.sums)
            .option("id", &transfer.id)
            .option("meta", self.meta.archive.len())
            .option("size", self.size())
            .option("binary", &service.binary);
        match &self.source {
            Source::Payload(payload) => request.option("codec", payload.codec.word()),
            Source::Delta(payload, base) => request
                .option("codec", payload.codec.word())
                .option("base", base),
            Source::Pull(pull, rest) => {
                let codec = rest.map_or(NO_PAYLOAD, |rest| rest.codec.word());
                with_pull(request.option("codec", codec), pull)
            }
            Source::HostFile(path) => request.option("codec", "copy").option("source", path),
            Source::Nowhere => request.option("codec", NO_PAYLOAD),
        }
    }
}

/// How much room a package of that size takes on the host besides what is unpacked from it, in bytes.
pub(crate) fn kept_aside(size: u64) -> u64 {
    if size < WORTH_KEEPING { 0 } else { size }
}

/// One folder on the host that a revision arrives in.
struct Transfer {
    id: String,
    /// How much of the payload is there; nothing: it is not kept, but unpacked as it comes.
    at: Option<u64>,
}

impl Transfer {
    fn new(shipment: &Shipment<'_>) -> Self {
        Self {
            id: format!("{:016x}", rand::random::<u64>()),
            at: (shipment.size() >= WORTH_KEEPING).then_some(0),
        }
    }

    /// After it was cut off: from what has arrived, or from the beginning where nothing has. Whether more has arrived than
    /// at the last time.
    async fn go_on(
        &mut self,
        machine: &Machine,
        service: &Service,
        shipment: &Shipment<'_>,
    ) -> Result<bool, HostError> {
        let mut arrived = None;
        if self.at.is_some() {
            let request = Request::new("arrived")
                .option("dir", dir(service))
                .option("id", &self.id);
            let answer = machine.read(Queue::Work, request).await?;
            arrived = String::from_utf8_lossy(&answer)
                .trim()
                .strip_prefix("arrived ")
                .and_then(|bytes| bytes.parse().ok())
                .filter(|bytes| (1..=shipment.size()).contains(bytes));
        }
        match arrived {
            Some(bytes) => Ok(self.at.replace(bytes) < Some(bytes)),
            None => {
                *self = Self::new(shipment);
                Ok(false)
            }
        }
    }
}

/// A request for a step, with what every step is told.
pub(crate) fn step(verb: &'static str, service: &Service, controller: &Controller) -> Request {
    Request::new(verb)
        .option("dir", dir(service))
        .option("ledger", &controller.owner.ledger)
        .option("epoch", controller.epoch)
}

/// Puts a revision on a host and gives the bytes that travelled. One that is cut off goes on where it was, or begins again.
pub(crate) async fn ship(
    machine: &Machine,
    service: &Service,
    controller: &Controller,
    shipment: &Shipment<'_>,
    progress: UploadProgress<'_>,
) -> Result<u64, HostError> {
    let mut attempt = 0;
    let mut transfer = Transfer::new(shipment);
    loop {
        let sent = async {
            if attempt > 0 && transfer.go_on(machine, service, shipment).await? {
                // A line that breaks again and again and brings some each time is good enough.
                attempt = 1;
            }
            once(machine, service, controller, shipment, &transfer, progress).await
        };
        match sent.await {
            Err(error)
                if attempt < AGAIN
                    && (error.kind == HostErrorKind::Lost
                        || attempt > 0 && error.kind == HostErrorKind::Unreachable) =>
            {
                attempt += 1;
                pause(attempt).await;
            }
            // What had arrived before is of no use.
            Err(error) if error.kind.is_an_answer() && transfer.at.is_some_and(|at| at > 0) => {
                tracing::info!("{}: it is sent from the beginning: {error}", machine.name);
                transfer = Transfer::new(shipment);
            }
            // Whatever became of it, the host runs what it ran.
            Err(error) if error.kind == HostErrorKind::Lost => {
                return Err(HostError {
                    message: format!("the upload was cut off: {}", error.message),
                    ..error
                });
            }
            other => return other,
        }
    }
}

async fn once(
    machine: &Machine,
    service: &Service,
    controller: &Controller,
    shipment: &Shipment<'_>,
    transfer: &Transfer,
    progress: UploadProgress<'_>,
) -> Result<u64, HostError> {
    let mut script = Script::start(machine.shell.as_ref(), machine.manner).await?;
    let request = shipment.request(service, controller, transfer);
    let id = script.send(&request).await?;
    // When the host refuses it stops reading; its answer says why.
    let _ = send(&mut script, shipment, transfer.at.unwrap_or(0), progress).await?;
    let answer = script.answer_to(id).await?;
    let token = script.token.clone();
    answer.output(&token, "receive")?;
    Ok(shipment.size())
}

async fn send(
    script: &mut Script,
    shipment: &Shipment<'_>,
    at: u64,
    progress: UploadProgress<'_>,
) -> Result<bool, HostError> {
    if script.write(&shipment.meta.archive).await.is_err() {
        return Ok(false);
    }
    if let Some(payload) = shipment.payload() {
        let unreadable = |error: std::io::Error| {
            refused(
                format!("cannot read `{}`: {error}", payload.path.display()),
                Some("the artifact store was changed; release the revision again".into()),
            )
        };
        let mut file = tokio::fs::File::open(&payload.path)
            .await
            .map_err(unreadable)?;
        file.seek(std::io::SeekFrom::Start(at))
            .await
            .map_err(unreadable)?;
        let mut piece = vec![0; PIECE];
        let mut sent = at;
        progress(at, payload.size);
        while sent < payload.size {
            let length = file.read(&mut piece).await.map_err(unreadable)?;
            if length == 0 {
                return Err(refused(
                    format!("`{}` is shorter than it should be", payload.path.display()),
                    Some("the artifact store was changed; release the revision again".into()),
                ));
            }
            if script
                .write(piece.get(..length).unwrap_or_default())
                .await
                .is_err()
            {
                return Ok(false);
            }
            sent += length as u64;
            progress(sent.min(payload.size), payload.size);
        }
    }
    let _ = script.finish().await;
    Ok(true)
}

/// Fetches a file from a host into a temporary one and verifies it.
pub(crate) async fn fetch(
    machine: &Machine,
    path: &str,
    sha256: &str,
    size: u64,
) -> Result<tempfile::NamedTempFile, HostError> {
    let local =
        |error: std::io::Error| refused(format!("cannot write a temporary file: {error}"), None);
    let file = tempfile::NamedTempFile::new().map_err(local)?;
    let mut writer = tokio::fs::File::from_std(file.reopen().map_err(local)?);
    let mut script = Script::start(machine.shell.as_ref(), machine.manner).await?;
    let id = script
        .send(&Request::new("fetch").arg(path).arg(size.to_string()))
        .await?;
    script.output_of(id, size, &mut writer).await?;
    writer.flush().await.map_err(local)?;
    let answer = script.answer_to(id).await?;
    let token = script.token.clone();
    answer.output(&token, "fetch")?;
    let copy = file.path().to_path_buf();
    let sum = tokio::task::spawn_blocking(move || sum_of(&copy))
        .await
        .map_err(|error| refused(error.to_string(), None))?
        .map_err(local)?;
    if sum != sha256 {
        return Err(refused(
            format!("`{path}` changed while it was fetched"),
            Some("run the command again".into()),
        ));
    }
    Ok(file)
}

fn sum_of(path: &std::path::Path) -> std::io::Result<String> {
    use sha2::{Digest as _, Sha256};
    let mut digest = Sha256::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut digest)?;
    Ok(hex::encode(digest.finalize()))
}
