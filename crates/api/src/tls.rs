//! TLS of the listener: a certificate and its key from two files, taken up again when they change.
//!
//! Certificates are renewed every few weeks by somebody else, who replaces the files. They are looked at once a minute; a
//! pair that does not fit together, or half of a new one, is left alone until it does, and the one before goes on.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a client may take to agree on a key.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How often the files are looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The first byte of a TLS connection: a record of the handshake.
const HANDSHAKE: u8 = 22;
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\
    Content-Length: 49\r\n\r\nThis port speaks TLS only: use https:// to ask.\r\n";

/// Why connections cannot be secured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: cannot be read", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file has no certificate, or no key, in it.
    #[error("{}: {what} in PEM form was expected", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What should be there.
        what: &'static str,
        /// What was found wrong.
        #[source]
        source: pem::Error,
    },
    /// The key is not the certificate's, or of a kind that is not known.
    #[error("{} and {} do not go together", certificate.display(), key.display())]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What was found wrong.
        #[source]
        source: rustls::Error,
    },
}

/// The certificate that the server shows, and its key. Cheap to clone.
#[derive(Clone)]
pub struct Certificates {
    inner: Arc<Inner>,
}

struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

struct Current {
    /// What the files had in them when they were last taken up.
    files: [Vec<u8>; 2],
    config: Arc<ServerConfig>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("certificate", &self.inner.certificate)
            .field("key", &self.inner.key)
            .finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads a certificate, followed by those that vouch for it, and its private key. Both files are PEM.
    ///
    /// # Errors
    /// When a file cannot be read or has something else in it, or the two do not go together.
    pub fn open(certificate: &Path, key: &Path) -> Result<Certificates, TlsError> {
        Ok(Certificates {
            inner: Arc::new(Inner {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                current: RwLock::new(Current::take_up(certificate, key, read_both(certificate, key)?)?),
            }),
        })
    }

    /// Takes up what is in the files now, if that is something else than before. Says whether it was.
    ///
    /// # Errors
    /// As [`Certificates::open`]; what was shown before is shown still.
    pub fn look(&self) -> Result<bool, TlsError> {
        let Inner {
            certificate,
            key,
            current,
        } = &*self.inner;
        let files = read_both(certificate, key)?;
        if current.read().unwrap_or_else(PoisonError::into_inner).files == files {
            return Ok(false);
        }
        let new = Current::take_up(certificate, key, files)?;
        *current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(true)
    }

    fn config(&self) -> Arc<ServerConfig> {
        let current = self.inner.current.read();
        current.unwrap_or_else(PoisonError::into_inner).config.clone()
    }

    /// Agrees with a client on a key. `None` for whoever does not manage, which costs nobody else anything.
    pub(crate) async fn accept(&self, mut stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.config());
        let agreed = tokio::time::timeout(HANDSHAKE_MAX, async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
                // Whoever asks in plain words is told, and not left to wonder about a broken connection.
                stream.write_all(PLAIN).await?;
                stream.shutdown().await?;
                return Ok(None);
            }
            acceptor.accept(stream).await.map(Some)
        });
        match agreed.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a client and the server do not agree on TLS");
                None
            }
            Err(_) => None,
        }
    }
}

fn read_both(certificate: &Path, key: &Path) -> Result<[Vec<u8>; 2], TlsError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| TlsError::File {
            path: path.to_owned(),
            source,
        })
    };
    Ok([read(certificate)?, read(key)?])
}

impl Current {
    fn take_up(certificate: &Path, key: &Path, files: [Vec<u8>; 2]) -> Result<Current, TlsError> {
        let wrong = |path: &Path, what, source| TlsError::Pem {
            path: path.to_owned(),
            what,
            source,
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&files[0]).collect();
        let chain = chain.and_then(|chain| match chain.is_empty() {
            true => Err(pem::Error::NoItemsFound),
            false => Ok(chain),
        });
        let chain = chain.map_err(|source| wrong(certificate, "a certificate", source))?;
        let secret =
            PrivateKeyDer::from_pem_slice(&files[1]).map_err(|source| wrong(key, "a private key", source))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
        let mut config = config.map_err(|source| TlsError::Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Current {
            files,
            config: Arc::new(config),
        })
    }
}
