//! Where backups lie: a folder, or a bucket that speaks S3.

use std::fmt;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig,
};

use crate::error::BackupError;

/// How long one request may take, and all attempts at it. Whoever asks tries again by itself.
const REQUEST_MAX: Duration = Duration::from_secs(60);
const CONNECT_MAX: Duration = Duration::from_secs(5);
const RETRIES_MAX: usize = 3;

/// A folder or a bucket. Cheap to clone.
#[derive(Clone)]
pub struct Place {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    address: String,
    /// Of a folder: where it is.
    folder: Option<PathBuf>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.address).finish()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl Place {
    /// The place to write to: a folder, which is made when it is missing, or `s3://bucket/prefix`, where the environment has
    /// the rest (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`…).
    /// `AWS_ACCESS_KEY_ID_FILE`, `AWS_SECRET_ACCESS_KEY_FILE` and `AWS_SESSION_TOKEN_FILE` name files that hold them.
    ///
    /// # Errors
    /// When the address is none, or the folder cannot be made. A bucket is not asked yet.
    pub fn make(address: &str) -> Result<Place, BackupError> {
        if let Some(folder) = folder_of(address) {
            std::fs::create_dir_all(folder)
                .map_err(|error| unusable(folder, format!("the folder cannot be made: {error}")))?;
        }
        Place::open(address)
    }

    /// The place to read from; see [`Place::make`].
    ///
    /// # Errors
    /// When the address is none, or the folder is not there.
    pub fn open(address: &str) -> Result<Place, BackupError> {
        if let Some(folder) = folder_of(address) {
            if !std::path::Path::new(folder).is_dir() {
                return Err(unusable(folder, "there is no such folder".to_owned()));
            }
            let store = LocalFileSystem::new_with_prefix(folder);
            let store = store.map_err(|error| unusable(folder, error.to_string()))?;
            return Ok(Place {
                store: Arc::new(store.with_fsync(true)),
                prefix: Path::default(),
                address: folder.to_owned(),
                folder: Some(PathBuf::from(folder)),
            });
        }
        let rest = address.strip_prefix("s3://").ok_or_else(|| {
            let scheme = address.split("://").next().unwrap_or_default();
            let what = "it is neither a folder nor of the form s3://bucket/prefix".to_owned();
            wrong(&format!("{scheme}://…"), what)
        })?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['@', ':']) {
            let what = "give credentials in the environment, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or in files that \
                        AWS_ACCESS_KEY_ID_FILE and AWS_SECRET_ACCESS_KEY_FILE name, and the server as AWS_ENDPOINT_URL";
            return Err(wrong("s3://…", what.to_owned()));
        }
        let prefix =
            Path::parse(prefix.trim_matches('/')).map_err(|error| wrong(address, error.to_string()))?;
        Ok(Place {
            store: Arc::new(bucket_of(address, bucket)?),
            prefix,
            address: address.trim_end_matches('/').to_owned(),
            folder: None,
        })
    }

    /// Where something of this place stands, for people.
    pub(crate) fn name_of(&self, path: &Path) -> String {
        let within = path
            .as_ref()
            .strip_prefix(self.prefix.as_ref())
            .unwrap_or(path.as_ref());
        format!(
            "{}/{}",
            self.address.trim_end_matches('/'),
            within.trim_start_matches('/')
        )
    }

    pub(crate) fn path(&self, parts: &[&str]) -> Path {
        parts
            .iter()
            .fold(self.prefix.clone(), |path, part| path.join(*part))
    }

    fn wrong<'a>(&'a self, doing: &'static str, path: &'a Path) -> impl FnOnce(Error) -> BackupError + 'a {
        move |source| BackupError::Place {
            doing,
            name: self.name_of(path),
            source,
        }
    }

    /// The names below a folder, after `after` where that is given, in order.
    pub(crate) async fn list(&self, dir: &Path, after: Option<&Path>) -> Result<Vec<String>, BackupError> {
        let listed = match after {
            None => self.store.list(Some(dir)),
            Some(after) => self.store.list_with_offset(Some(dir), after),
        };
        let names =
            listed.try_filter_map(|object| async move { Ok(object.location.filename().map(str::to_owned)) });
        let mut names: Vec<String> = names.try_collect().await.map_err(self.wrong("list", dir))?;
        names.sort_unstable();
        Ok(names)
    }

    /// The folders in a folder, in order.
    pub(crate) async fn folders(&self, dir: &Path) -> Result<Vec<String>, BackupError> {
        let listed = self.store.list_with_delimiter(Some(dir)).await;
        let listed = listed.map_err(self.wrong("list", dir))?;
        let mut names: Vec<String> = listed
            .common_prefixes
            .iter()
            .filter_map(|path| path.filename().map(str::to_owned))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) async fn get(&self, path: &Path) -> Result<Vec<u8>, BackupError> {
        let read = async { self.store.get(path).await?.bytes().await };
        Ok(read.await.map_err(self.wrong("read", path))?.into())
    }

    pub(crate) async fn remove(&self, path: &Path) -> Result<(), BackupError> {
        self.store.delete(path).await.map_err(self.wrong("remove", path))
    }

    /// Puts an object where none is; `false` when there is one.
    pub(crate) async fn put_new(&self, path: &Path, bytes: Vec<u8>) -> Result<bool, BackupError> {
        let options = PutOptions::from(PutMode::Create);
        match self.store.put_opts(path, bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.wrong("write", path)(error)),
        }
    }

    /// Makes a folder of this place that nobody but this process's user looks into. One that is there stays as somebody made
    /// it, and a bucket has rules of its own.
    pub(crate) fn make_private(&self, name: &str) -> Result<(), BackupError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let dir = folder.join(name);
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                let dir = dir.to_string_lossy();
                Err(unusable(&dir, format!("the folder cannot be made: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// The tenants of which there is a backup, in order.
    ///
    /// # Errors
    /// When the place cannot be listed.
    pub async fn tenants(&self) -> Result<Vec<String>, BackupError> {
        self.folders(&self.path(&["ledgers"])).await
    }
}

fn folder_of(address: &str) -> Option<&str> {
    match address.strip_prefix("file://") {
        Some(folder) => Some(folder),
        None if address.contains("://") => None,
        None => Some(address),
    }
}

fn wrong(address: &str, what: String) -> BackupError {
    BackupError::Address {
        address: address.to_owned(),
        what,
    }
}

fn unusable(folder: &str, what: String) -> BackupError {
    BackupError::Folder {
        folder: folder.to_owned(),
        what,
    }
}

fn bucket_of(address: &str, bucket: &str) -> Result<impl ObjectStore, BackupError> {
    // Another part of the process may have chosen already.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: RETRIES_MAX,
        retry_timeout: REQUEST_MAX,
    };
    let client = ClientOptions::new()
        .with_timeout(REQUEST_MAX)
        .with_connect_timeout(CONNECT_MAX);
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        // Not everything that speaks S3 removes several objects at once.
        .with_disable_bulk_delete(true)
        .with_retry(retry);
    let allows_http = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|given| given == "true" || given == "1");
    builder = builder.with_client_options(client.with_allow_http(allows_http));
    let files = [
        ("AWS_ACCESS_KEY_ID_FILE", AmazonS3ConfigKey::AccessKeyId),
        ("AWS_SECRET_ACCESS_KEY_FILE", AmazonS3ConfigKey::SecretAccessKey),
        ("AWS_SESSION_TOKEN_FILE", AmazonS3ConfigKey::Token),
    ];
    for (variable, key) in files {
        if let Ok(file) = std::env::var(variable) {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| wrong(address, format!("{variable} {file}: {error}")))?;
            builder = builder.with_config(key, text.trim());
        }
    }
    builder.build().map_err(|error| wrong(address, error.to_string()))
}
