//! Who asks when a proxy stands in front: the address that the proxy tells, if the proxy is one to be believed.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// A list of trusted proxies that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{entry:?} is neither an address such as 10.0.0.7 nor a network such as 10.0.0.0/8")]
pub struct InvalidProxy {
    /// What cannot be read.
    pub entry: String,
}

impl TrustedProxies {
    /// Reads addresses and networks with commas between them; nothing at all trusts nobody.
    ///
    /// # Errors
    /// When an entry is neither.
    pub fn parse(text: &str) -> Result<TrustedProxies, InvalidProxy> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let network = |entry: &str| {
            let address = entry
                .parse()
                .map(|address: IpAddr| IpNet::from(address.to_canonical()));
            address.or_else(|_| entry.parse()).map_err(|_| InvalidProxy {
                entry: entry.to_owned(),
            })
        };
        entries.map(network).collect::<Result<_, _>>().map(TrustedProxies)
    }

    /// The address that a request comes from. Each proxy appends the address that it was asked from, so the list is
    /// followed from its end for as long as proxies to be believed tell it: what stands further left anybody can write.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if self.0.is_empty() {
            return peer;
        }
        let mut client = peer.to_canonical();
        for value in headers.get_all(X_FORWARDED_FOR).iter().rev() {
            for told in value.to_str().unwrap_or_default().rsplit(',') {
                let told = told.trim().parse::<IpAddr>();
                let Some(told) = told.ok().filter(|_| self.trusts(client)) else {
                    return client;
                };
                client = told.to_canonical();
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, peer: &str, told: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for told in told {
            headers.append(X_FORWARDED_FOR, told.parse().expect("a header's value"));
        }
        let trusted = TrustedProxies::parse(trusted).expect("a list of proxies");
        trusted
            .client(peer.parse().expect("an address"), &headers)
            .to_string()
    }

    #[test]
    fn only_what_a_trusted_proxy_tells_is_believed() {
        let told = ["1.1.1.1, 2.2.2.2", "10.0.0.2"];
        for (trusted, peer, told, expected) in [
            ("", "10.0.0.1", &told[..], "10.0.0.1"),
            ("10.0.0.9", "10.0.0.1", &told, "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1", &told, "10.0.0.2"),
            ("10.0.0.0/8", "10.0.0.1", &told, "2.2.2.2"),
            ("10.0.0.0/8, 2.2.2.2", "10.0.0.1", &told, "1.1.1.1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", &told, "2.2.2.2"),
            ("10.0.0.1", "10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1", &["2.2.2.2, unknown"], "10.0.0.1"),
            ("::1", "::1", &["2001:db8::7"], "2001:db8::7"),
        ] {
            assert_eq!(client(trusted, peer, told), expected, "{trusted} {peer} {told:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_named() {
        let wrong = TrustedProxies::parse("10.0.0.1, proxy.local");
        assert_eq!(
            wrong,
            Err(InvalidProxy {
                entry: "proxy.local".to_owned()
            })
        );
    }
}
