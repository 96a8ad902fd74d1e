//! Where NATS is.

use std::fmt;
use std::str::FromStr;

use async_nats::ServerAddr;

/// The addresses of the servers of one NATS, at least one.
#[derive(Clone)]
pub struct Servers(Vec<ServerAddr>);

/// A text that does not say where NATS is. It may have a password in it, and is not shown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be nats://host:port or tls://host:port, or several of them with commas between")]
pub struct InvalidServers;

impl Servers {
    pub(crate) fn addresses(&self) -> &[ServerAddr] {
        &self.0
    }
}

impl FromStr for Servers {
    type Err = InvalidServers;

    /// Reads one address or several with commas between, such as `nats://127.0.0.1:4222`.
    fn from_str(text: &str) -> Result<Servers, InvalidServers> {
        let address = |one: &str| {
            let one = one.trim();
            // The library takes a word alone for a host: more likely it is a slip of the pen.
            let address: ServerAddr = one.contains("://").then(|| one.parse().ok())??;
            (!address.host().is_empty()).then_some(address)
        };
        let all: Option<Vec<ServerAddr>> = text.split(',').map(address).collect();
        all.map(Servers).ok_or(InvalidServers)
    }
}

impl fmt::Debug for Servers {
    // An address may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        for right in [
            "nats://127.0.0.1:4222",
            "nats://nats.example",
            "tls://user:word@a:4222, nats://b:4222",
            "nats://[::1]:4222",
        ] {
            assert!(right.parse::<Servers>().is_ok(), "{right}");
        }
        for wrong in [
            "",
            "foo",
            "127.0.0.1:4222",
            "nats://",
            "nats://:4222",
            "nats://a:port",
            "nats://a:4222,",
            "http://a:4222",
            "postgres://a/b",
        ] {
            assert!(wrong.parse::<Servers>().is_err(), "{wrong}");
        }
    }
}
