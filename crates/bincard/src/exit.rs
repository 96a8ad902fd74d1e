//! How a run ends: 0 done, 1 failed, 2 wrong use; and how its errors are told.

use std::io::Write;
use std::process::ExitCode;

use bincard_access::AccessError;
use bincard_backup::BackupError;

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
    let _ = writeln!(
        std::io::stderr(),
        "bincard: {}{}",
        shown(&chain_of(&error)),
        advice_on(&error)
    );
    let is_wrong_use = error.is::<WrongUse>()
        || matches!(error.downcast_ref(), Some(AccessError::Invalid { .. }))
        || matches!(error.downcast_ref(), Some(BackupError::Address { .. }))
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

/// What a terminal may be given of a text that quotes files: control characters are written out, so that a file cannot
/// steer the terminal. Lines stay lines.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// What to do about an error whose own words cannot say it: they come from a database.
fn advice_on(error: &anyhow::Error) -> String {
    if let Some(AccessError::Database(_) | AccessError::Migrate { .. }) = error.downcast_ref() {
        return "; if accounts.db is damaged, stop the server and restore the file from a backup (the ledgers do not \
                depend on it)"
            .to_owned();
    }
    match error.downcast_ref() {
        Some(bincard_projections::Error::Database { view, .. }) => {
            format!("; `bincard rebuild {view}` builds it anew from the log, which loses nothing")
        }
        _ => String::new(),
    }
}
