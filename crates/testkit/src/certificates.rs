//! Certificates for tests of TLS: two of the same server, `localhost` and 127.0.0.1, and the authority that both are of, which
//! no machine trusts by itself. Its own key is thrown away, so there will never be others.

use std::path::{Path, PathBuf};

/// A certificate and its private key, as PEM files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pair {
    /// The file of the certificate.
    pub certificate: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
}

/// The authority's certificate, as a PEM file: for whoever is to trust the two.
#[must_use]
pub fn authority() -> PathBuf {
    folder().join("authority.pem")
}

/// A certificate.
#[must_use]
pub fn first() -> Pair {
    pair("first")
}

/// Another one of the same server, as after a renewal.
#[must_use]
pub fn second() -> Pair {
    pair("second")
}

fn pair(name: &str) -> Pair {
    Pair {
        certificate: folder().join(format!("{name}.pem")),
        key: folder().join(format!("{name}.key.pem")),
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/certificates"))
}
