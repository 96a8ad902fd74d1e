//! Copies of the accounts at a place: the newest ones, each named by when it was made and by its hash.

use crate::error::BackupError;
use crate::place::Place;

const DIR: &str = "accounts";
const ENDING: &str = ".db";
/// How many copies a place keeps.
const KEPT: usize = 32;

/// A copy, as its name tells it.
struct Copy {
    name: String,
    at_ms: i64,
    /// The first ones had no hash in their names.
    hash: Option<String>,
}

impl Copy {
    fn parse(name: &str) -> Option<Copy> {
        let stem = name.strip_suffix(ENDING)?;
        let (at, hash) = match stem.split_once('-') {
            Some((at, hash)) => (at, Some(hash.to_owned())),
            None => (stem, None),
        };
        Some(Copy {
            name: name.to_owned(),
            at_ms: at.parse().ok()?,
            hash,
        })
    }
}

impl Place {
    /// Those that there are, the newest last; what is none is passed over.
    async fn copies(&self) -> Result<Vec<Copy>, BackupError> {
        let names = self.list(&self.path(&[DIR]), None).await?;
        Ok(names.iter().filter_map(|name| Copy::parse(name)).collect())
    }

    /// Keeps a copy of the accounts, as the newest: by a clock that was wrong the one before may be of the future. Of those
    /// before it the oldest go, as far as the place lets them.
    ///
    /// # Errors
    /// When the place cannot be listed, or the copy not be written.
    pub async fn put_accounts(&self, at_ms: i64, bytes: Vec<u8>) -> Result<(), BackupError> {
        self.make_private(DIR)?;
        let before = self.copies().await?;
        let newest = before.last().map_or(i64::MIN, |copy| copy.at_ms);
        let at_ms = at_ms.max(newest.saturating_add(1));
        let name = format!("{at_ms:015}-{}{ENDING}", blake3::hash(&bytes).to_hex());
        // What has the same name has the same bytes.
        self.put_new(&self.path(&[DIR, &name]), bytes).await?;
        let old = before.len().saturating_sub(KEPT - 1);
        for copy in &before[..old] {
            if let Err(error) = self.remove(&self.path(&[DIR, &copy.name])).await {
                // A place may be told to let nothing go, which is as good.
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "an old copy of the accounts stays"
                );
                break;
            }
        }
        Ok(())
    }

    /// The newest copy of the accounts, and when it was made.
    ///
    /// # Errors
    /// When the place cannot be read, or the copy is damaged.
    pub async fn accounts(&self) -> Result<Option<(i64, Vec<u8>)>, BackupError> {
        let Some(Copy { name, at_ms, hash }) = self.copies().await?.pop() else {
            return Ok(None);
        };
        let path = self.path(&[DIR, &name]);
        let bytes = self.get(&path).await?;
        if hash.is_some_and(|hash| hash != blake3::hash(&bytes).to_hex().as_str()) {
            let name = self.name_of(&path);
            return Err(BackupError::DamagedAccounts { name });
        }
        Ok(Some((at_ms, bytes)))
    }
}
