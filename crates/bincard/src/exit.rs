//! How a run ends: 0 done, 1 failed, 2 wrong use; and how its errors are told.

use std::io::Write;
use std::process::ExitCode;

use crate::import::{InputError, MappingError};

/// The command line, the configuration or another file that was given is wrong: nothing was tried.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUse(pub(crate) String);

/// It failed, and what there is to say was said already.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub(crate) struct SaidAlready;

/// Tells how a run ended.
pub(crate) fn code_of(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    if error.is::<SaidAlready>() {
        return ExitCode::FAILURE;
    }
    // With standard error closed, the exit code is all that is left to say.
    let _ = writeln!(std::io::stderr(), "bincard: {}", chain_of(&error));
    let is_wrong_use = error.is::<WrongUse>()
        || error.is::<MappingError>()
        || matches!(error.downcast_ref(), Some(InputError::Layout { .. }));
    if is_wrong_use {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

/// What went wrong and why, in one line. A cause that its effect repeats already is left out.
pub(crate) fn chain_of(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
