//! An S3-compatible server on this machine: [s3s](https://crates.io/crates/s3s), which knows nothing of rollctl and checks every
//! signature. Around it, every request is written down with who asked, and some addresses can be treated badly.

mod fault;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub use fault::Fault;

/// Whoever signs with these is let in.
pub const ACCESS_KEY: &str = "test-access-key";
/// The secret of [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "test-secret-key";

/// A request as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who asked.
    pub from: IpAddr,
    /// `GET`, `PUT` ...
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// What was answered.
    pub status: u16,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<BTreeMap<IpAddr, Fault>>,
}

/// A running server; dropping it ends it.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    // Ends all its tasks when dropped.
    _runtime: Runtime,
}

impl Server {
    /// Serves what is in `folder`, whose folders are the buckets, at any free port of that address.
    ///
    /// # Errors
    /// When nobody can listen there.
    pub fn start(address: IpAddr, folder: &Path) -> io::Result<Self> {
        let files = s3s_fs::FileSystem::new(folder)
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((address, 0)))?;
        let address = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        runtime.spawn(accept(listener, service, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            _runtime: runtime,
        })
    }

    /// `http://192.0.2.1:9000`
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a controller is to have in its environment.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    /// From now on, whatever that address GETs goes wrong.
    pub fn fail(&self, asker: IpAddr, fault: Fault) {
        let faults = self.shared.faults.lock();
        let mut faults = faults.unwrap_or_else(PoisonError::into_inner);
        faults.insert(asker, fault);
    }

    /// All requests since the last call.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        let mut seen = self
            .shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut seen)
    }
}

async fn accept(listener: TcpListener, service: S3Service, shared: Arc<Shared>) {
    while let Ok((stream, peer)) = listener.accept().await {
        let (service, shared) = (service.clone(), Arc::clone(&shared));
        let answering = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (service, shared) = (service.clone(), Arc::clone(&shared));
            async move {
                let answer = answer(&service, &shared, peer.ip(), request.map(Body::from)).await;
                // Whoever cannot be answered is cut off.
                answer.map_err(|_| io::Error::other("no answer"))
            }
        });
        let serving = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), answering);
        // A connection that breaks is the asker's affair.
        tokio::spawn(serving);
    }
}

async fn answer(
    service: &S3Service,
    shared: &Shared,
    from: IpAddr,
    mut request: s3s::HttpRequest,
) -> Result<s3s::HttpResponse, HttpError> {
    let (method, path) = (
        request.method().to_string(),
        request.uri().path().to_owned(),
    );
    let fault = match method.as_str() {
        "GET" => {
            let faults = shared.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.get(&from).copied()
        }
        _ => None,
    };
    if fault == Some(Fault::Deny) {
        fault::forge(&mut request);
    }
    let response = service.call(request).await?;
    shared
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Seen {
            from,
            method,
            path,
            status: response.status().as_u16(),
        });
    match fault {
        Some(fault) => fault::spoil(response, fault).await,
        None => Ok(response),
    }
}
