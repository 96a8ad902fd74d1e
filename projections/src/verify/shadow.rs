//! The shadow: what the log makes of a view, folded into a database beside it that lives only as long as the comparison.

use std::path::{Path, PathBuf};

use bincard_ledger::Position;
use bincard_store::Reader;

use crate::build::{Built, feed_through};
use crate::each::Listed;
use crate::error::Error;
use crate::generation::{Folder, Tables, remove_database};
use crate::lane::Lane;
use crate::name::ViewName;

/// A shadow on the disk, where it does not stay.
pub(crate) struct Shadow {
    path: PathBuf,
}

impl Shadow {
    /// One without anything in it yet.
    pub(crate) fn empty(folder: &Folder, view: ViewName) -> Result<Shadow, Error> {
        let shadow = Shadow {
            path: folder.shadow(view),
        };
        remove_database(&shadow.path)?;
        Ok(shadow)
    }

    /// Folds the log up to `through`.
    pub(crate) async fn fold<V: Listed>(
        folder: &Folder,
        reader: &Reader,
        generation: u64,
        through: Position,
        tell: impl FnMut(Position),
    ) -> Result<Shadow, Error> {
        let shadow = Shadow::empty(folder, V::NAME)?;
        let (lane, carry) = Lane::<V>::open(shadow.tables(), generation, through).await?;
        let built = feed_through(reader, Built { lane, carry }, through, tell).await?;
        built.lane.close().await;
        Ok(shadow)
    }

    pub(crate) fn tables(&self) -> Tables {
        Tables::File(self.path.clone())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes it.
    pub(crate) fn remove(self) -> Result<(), Error> {
        remove_database(&self.path)
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        // Nothing is left of one that was removed; this is for those that an error or the caller left behind.
        if let Err(error) = remove_database(&self.path) {
            tracing::warn!(error = %error.chain(), "a shadow stays; the next verification deletes it");
        }
    }
}
