//! The variable parts of a path.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::failure::Failure;

/// What stands in the braces of a route's template. What is not UTF-8 comes as [`NAMELESS`], so that the route itself
/// says, in its order and in its own words, that there is no such thing.
pub(crate) struct Segment(pub(crate) String);

/// What stands in the braces of a template that has two.
pub(crate) struct Segments(pub(crate) [String; 2]);

/// A text that nothing is called by.
const NAMELESS: &str = "\u{FFFD}";

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Segment, Failure> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        named(path, NAMELESS.to_owned()).map(Segment)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Segments, Failure> {
        let path = Path::<[String; 2]>::from_request_parts(parts, state).await;
        named(path, [NAMELESS.to_owned(), NAMELESS.to_owned()]).map(Segments)
    }
}

fn named<T>(path: Result<Path<T>, PathRejection>, nameless: T) -> Result<T, Failure> {
    match path {
        Ok(Path(text)) => Ok(text),
        Err(PathRejection::FailedToDeserializePathParams(error))
            if matches!(error.kind(), ErrorKind::InvalidUtf8InPathParam { .. }) =>
        {
            Ok(nameless)
        }
        Err(error) => Err(Failure::internal(error)),
    }
}
