//! Versions of the warehouse family's documents: `Accept: application/vnd.leora.v1+json`.

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Response};

const VENDOR: &str = "application/vnd.leora.";
pub(crate) const V1: &str = "application/vnd.leora.v1+json";

/// As what an answer is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Version {
    /// `application/json`.
    Plain,
    /// The first version, by its name.
    V1,
}

/// There is no such version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unknown;

impl Version {
    /// What a request accepts. Whoever names no version takes the one there is.
    pub(crate) fn asked(headers: &HeaderMap) -> Result<Version, Unknown> {
        let values = headers.get_all(ACCEPT).iter();
        let types = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(','))
            .map(|range| {
                range
                    .split(';')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_ascii_lowercase()
            });
        let (mut takes_plain, mut names_unknown) = (false, false);
        for accepted in types {
            match accepted.as_str() {
                V1 => return Ok(Version::V1),
                "*/*" | "application/*" | "application/json" => takes_plain = true,
                other => names_unknown |= other.starts_with(VENDOR),
            }
        }
        if names_unknown && !takes_plain {
            Err(Unknown)
        } else {
            Ok(Version::Plain)
        }
    }

    /// The answer, told as this version.
    pub(crate) fn mark(self, mut response: Response<Body>) -> Response<Body> {
        let headers = response.headers_mut();
        if self == Version::V1
            && headers
                .get(CONTENT_TYPE)
                .is_some_and(|told| told == "application/json")
        {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(V1));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_told_by_name_where_it_is_asked_for_by_name() {
        let asked = |accept: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT, value.parse().unwrap());
            }
            Version::asked(&headers)
        };
        for accept in [
            &[][..],
            &["*/*"],
            &["application/json"],
            &["text/html"],
            &["application/vnd.leora.v9+json, */*;q=0.1"],
        ] {
            assert_eq!(asked(accept), Ok(Version::Plain), "{accept:?}");
        }
        for accept in [
            &["application/vnd.leora.v1+json"][..],
            &["text/html", "Application/vnd.Leora.v1+json;q=0.5"],
        ] {
            assert_eq!(asked(accept), Ok(Version::V1), "{accept:?}");
        }
        for accept in [
            "application/vnd.leora.v9+json",
            "application/vnd.leora.v1+xml",
            "text/html, application/vnd.leora.v2+json",
        ] {
            assert_eq!(asked(&[accept]), Err(Unknown), "{accept}");
        }
    }
}
