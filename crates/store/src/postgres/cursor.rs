//! Going over the log's commits in order.

use std::collections::VecDeque;

use bincard_ledger::Position;

use super::Reader;
use super::fetch::{self, Fetched, Place, failed};
use crate::chain::Hash;
use crate::error::ReadError;
use crate::reader::Commit;

/// A cursor over the log's commits, up to the head that this node knows of and on from there when it has moved. Every
/// commit it gives was checked, its hash too.
#[derive(Debug)]
pub struct Commits {
    reader: Reader,
    place: Place,
    /// Where it ends, if not at the head.
    end: Option<Position>,
    fetched: VecDeque<Fetched>,
    given: Option<Fetched>,
}

impl Commits {
    pub(super) fn new(reader: Reader, after: Position, end: Option<Position>) -> Commits {
        let place = Place {
            no: reader.no(),
            after,
            previous: None,
            genesis: Hash::genesis(reader.ledger()),
        };
        Commits {
            reader,
            place,
            end,
            fetched: VecDeque::new(),
            given: None,
        }
    }

    /// The next commit; `None` at the head, from where a later call goes on.
    ///
    /// # Errors
    /// [`ReadError`]; nothing beyond is given.
    #[expect(
        clippy::should_implement_trait,
        reason = "lends its buffer, which an Iterator cannot"
    )]
    pub fn next(&mut self) -> Result<Option<Commit<'_>>, ReadError> {
        let end = self.end.unwrap_or_else(|| self.reader.head().position);
        if self.fetched.is_empty() && self.place.after < end {
            let place = self.place;
            let fetched = self.reader.ask(move |pool| async move {
                let mut connection = pool.acquire().await.map_err(failed("reach the database"))?;
                fetch::commits(&mut connection, place).await
            })?;
            self.fetched.extend(fetched);
        }
        // More may have been fetched than is to be known yet.
        let next = self.fetched.pop_front_if(|next| next.as_commit().last() <= end);
        let Some(next) = next else { return Ok(None) };
        let commit = self.given.insert(next).as_commit();
        self.place.after = commit.last();
        self.place.previous = Some(commit.hash);
        Ok(Some(commit))
    }
}
