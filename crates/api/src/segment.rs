//! The variable part of a path.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::failure::Failure;

/// What stands in the braces of a route's template. What is not UTF-8 comes as [`NAMELESS`], so that the route itself
/// says, in its order and in its own words, that there is no such thing.
pub(crate) struct Segment(pub(crate) String);

/// A text that nothing is called by.
const NAMELESS: &str = "\u{FFFD}";

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Segment, Failure> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Segment(text)),
            Err(PathRejection::FailedToDeserializePathParams(error))
                if matches!(error.kind(), ErrorKind::InvalidUtf8InPathParam { .. }) =>
            {
                Ok(Segment(NAMELESS.to_owned()))
            }
            Err(error) => Err(Failure::internal(error)),
        }
    }
}
