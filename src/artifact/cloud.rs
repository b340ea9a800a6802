//! A bucket in a cloud: S3 and what speaks it, Google Cloud Storage, Azure. No policy, and no secret in any text.

use std::path::Path;

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::core::source::SecretUrl;

/// Where credentials are looked for, for whoever has to give them.
pub(super) fn hint(scheme: &str) -> String {
    match scheme {
        "gs" => "credentials come from GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT_KEY in the environment",
        "az" => "credentials come from AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY in the environment",
        _ => "credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION in the environment, \
              another server from AWS_ENDPOINT_URL; ~/.aws is not read",
    }
    .to_owned()
}

/// What is read from it, piece by piece.
pub(super) type Pieces = BoxStream<'static, Result<Bytes, String>>;

/// A bucket, and where in it. Errors are words for a person.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    inner: inner::Bucket,
    url: SecretUrl,
}

impl Bucket {
    /// `s3://bucket/folder`. Nothing is asked yet.
    pub(super) fn open(url: &SecretUrl) -> Result<Self, String> {
        Ok(Self {
            inner: inner::Bucket::open(url)?,
            url: url.clone(),
        })
    }

    /// The bucket of `s3://bucket/folder/key`, and the key in it.
    pub(super) fn of_object(url: &SecretUrl) -> Result<(Self, String), String> {
        let rest = url.secret().split_once("://").map_or("", |(_, rest)| rest);
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = SecretUrl::new(format!("{}://{bucket}", url.scheme()));
        Ok((Self::open(&bucket)?, key.to_owned()))
    }

    pub(super) fn url(&self) -> &SecretUrl {
        &self.url
    }

    /// An object's content.
    pub(super) async fn read(&self, key: &str) -> Result<Pieces, String> {
        self.inner.read(key).await
    }

    /// How large an object is; nothing when there is none.
    pub(super) async fn size(&self, key: &str) -> Result<Option<u64>, String> {
        self.inner.size(key).await
    }

    /// Makes an object of a file's content. It is there when all of it is.
    pub(super) async fn put(&self, key: &str, file: &Path) -> Result<(), String> {
        self.inner.put(key, file).await
    }

    /// A URL by which anybody can GET an object for a quarter of an hour.
    pub(super) async fn link(&self, key: &str) -> Result<SecretUrl, String> {
        self.inner.link(key).await
    }
}

#[cfg(feature = "object-stores")]
mod inner {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use futures::{StreamExt, TryStreamExt};
    use object_store::aws::AmazonS3Builder;
    use object_store::azure::MicrosoftAzureBuilder;
    use object_store::buffered::BufWriter;
    use object_store::gcp::GoogleCloudStorageBuilder;
    use object_store::path::Path as Key;
    use object_store::signer::{Method, Signer};
    use object_store::{ClientOptions, Error, ObjectStore, ObjectStoreExt as _, RetryConfig};
    use tokio::io::AsyncWriteExt as _;

    use super::Pieces;
    use crate::core::source::SecretUrl;

    /// A host begins to fetch at once; S3 looks at the time only when asked.
    const VALID: Duration = Duration::from_secs(15 * 60);
    /// A bucket that does not answer is given up: somebody waits.
    const PATIENCE: Duration = Duration::from_secs(20);
    const RETRIES: usize = 3;
    const CONNECT: Duration = Duration::from_secs(5);
    /// A part of 10 MiB, or a whole object that is read, over a slow line.
    const ONE_REQUEST: Duration = Duration::from_secs(30 * 60);

    trait Cloud: ObjectStore + Signer {}
    impl<T: ObjectStore + Signer> Cloud for T {}

    #[derive(Debug, Clone)]
    pub(super) struct Bucket {
        store: Arc<dyn Cloud>,
        folder: Key,
    }

    impl Bucket {
        pub(super) fn open(url: &SecretUrl) -> Result<Self, String> {
            // The second and later calls say that there is one already.
            let installed = rustls::crypto::ring::default_provider().install_default();
            tracing::trace!(first = installed.is_ok(), "TLS provider");
            let parsed = url::Url::parse(url.secret()).map_err(|error| error.to_string())?;
            let folder = Key::from_url_path(parsed.path()).map_err(|error| error.to_string())?;
            let store = open(url).map_err(|error| words(&error))?;
            Ok(Self { store, folder })
        }

        pub(super) async fn read(&self, key: &str) -> Result<Pieces, String> {
            let object = self.store.get(&self.key(key)?).await;
            let pieces = object.map_err(|error| words(&error))?.into_stream();
            Ok(pieces.map_err(|error| words(&error)).boxed())
        }

        pub(super) async fn size(&self, key: &str) -> Result<Option<u64>, String> {
            match self.store.head(&self.key(key)?).await {
                Ok(object) => Ok(Some(object.size)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(words(&error)),
            }
        }

        pub(super) async fn put(&self, key: &str, file: &Path) -> Result<(), String> {
            let unreadable = |error| format!("`{}` cannot be read: {error}", file.display());
            let mut source = tokio::fs::File::open(file).await.map_err(unreadable)?;
            let store: Arc<dyn ObjectStore> = self.store.clone();
            let mut writer = BufWriter::new(store, self.key(key)?);
            let copied = match tokio::io::copy(&mut source, &mut writer).await {
                Ok(_) => writer.shutdown().await,
                Err(error) => Err(error),
            };
            copied.map_err(|error| {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                inner.map_or_else(|| short(&error.to_string()), words)
            })
        }

        pub(super) async fn link(&self, key: &str) -> Result<SecretUrl, String> {
            let key = self.key(key)?;
            let link = self.store.signed_url(Method::GET, &key, VALID).await;
            let link = link.map_err(|error| words(&error))?;
            Ok(SecretUrl::new(link.as_str()))
        }

        fn key(&self, key: &str) -> Result<Key, String> {
            let mut path = self.folder.clone();
            let key = Key::from_url_path(key).map_err(|error| error.to_string())?;
            path.extend(key.parts());
            Ok(path)
        }
    }

    fn options() -> ClientOptions {
        ClientOptions::new()
            .with_connect_timeout(CONNECT)
            .with_timeout(ONE_REQUEST)
    }

    fn open(url: &SecretUrl) -> object_store::Result<Arc<dyn Cloud>> {
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: PATIENCE,
            ..RetryConfig::default()
        };
        Ok(match url.scheme() {
            "gs" => Arc::new(
                GoogleCloudStorageBuilder::from_env()
                    .with_url(url.secret())
                    .with_client_options(options())
                    .with_retry(retry)
                    .build()?,
            ),
            "az" => Arc::new(
                MicrosoftAzureBuilder::from_env()
                    .with_url(url.secret())
                    .with_client_options(options())
                    .with_retry(retry)
                    .build()?,
            ),
            _ => {
                // As other tools: who names a server by `http://` means it.
                let is_http = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]
                    .iter()
                    .filter_map(|name| std::env::var(name).ok())
                    .any(|endpoint| endpoint.starts_with("http://"));
                let builder = AmazonS3Builder::from_env().with_url(url.secret());
                Arc::new(
                    builder
                        .with_client_options(options().with_allow_http(is_http))
                        .with_retry(retry)
                        .build()?,
                )
            }
        })
    }

    /// Errors of the library name requests, and the answers of servers whole, signatures in them.
    fn words(error: &Error) -> String {
        match error {
            Error::NotFound { .. } => "there is no such object or bucket (404)".to_owned(),
            Error::PermissionDenied { .. } => "access is denied (403)".to_owned(),
            Error::Unauthenticated { .. } => "the credentials are not accepted (401)".to_owned(),
            error => short(&error.to_string()),
        }
    }

    /// The first line, up to where an answer's body begins, without the queries of URLs.
    pub(super) fn short(text: &str) -> String {
        let end = text.find(['<', '\n', '{']).unwrap_or(text.len());
        let words = text.get(..end).unwrap_or_default().split(' ');
        let words: Vec<_> = words
            .map(|word| match word.contains("://") {
                true => SecretUrl::new(word).to_string(),
                false => word.to_owned(),
            })
            .collect();
        words.join(" ").trim_end_matches([' ', ':']).to_owned()
    }
}

#[cfg(not(feature = "object-stores"))]
mod inner {
    use std::path::Path;

    use super::Pieces;
    use crate::core::source::SecretUrl;

    /// There is none.
    #[derive(Debug, Clone)]
    pub(super) enum Bucket {}

    impl Bucket {
        pub(super) fn open(_: &SecretUrl) -> Result<Self, String> {
            Err(
                "this rollctl was built without object stores (`--features object-stores`)"
                    .to_owned(),
            )
        }

        pub(super) async fn read(&self, _: &str) -> Result<Pieces, String> {
            match *self {}
        }

        pub(super) async fn size(&self, _: &str) -> Result<Option<u64>, String> {
            match *self {}
        }

        pub(super) async fn put(&self, _: &str, _: &Path) -> Result<(), String> {
            match *self {}
        }

        pub(super) async fn link(&self, _: &str) -> Result<SecretUrl, String> {
            match *self {}
        }
    }
}

#[cfg(all(test, feature = "object-stores"))]
mod tests {
    use super::inner::short;

    #[test]
    fn what_a_server_says_is_cut_before_it_tells_secrets() {
        for (text, shown) in [
            (
                "Generic S3 error: Error performing PUT https://h/b/k?X-Amz-Signature=geheim in 2ms - Server returned \
                 non-2xx status code: 400 Bad Request: <Error><AWSAccessKeyId>geheim</AWSAccessKeyId>",
                "Generic S3 error: Error performing PUT https://h/b/k?*** in 2ms - Server returned non-2xx status code: \
                 400 Bad Request",
            ),
            ("no bucket\ngeheim", "no bucket"),
            ("answered {\"token\":\"geheim\"}", "answered"),
        ] {
            assert_eq!(short(text), shown);
        }
    }
}
