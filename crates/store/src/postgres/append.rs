//! Appending: one transaction a commit, under the lock of the ledger's row.
//!
//! When the connection is lost in the middle, the appender looks what became of the commit instead of guessing: it takes
//! the lock again, which it only gets when the lost session has ended, and then the row of the commit is there or it is
//! not. If it is not and nobody appended meanwhile, the commit is made now.

use std::convert::identity;
use std::io;
use std::time::{Duration, Instant};

use bincard_ledger::codec::{Body, BodyRef, DecodeError, Leading, RawRecord};
use bincard_ledger::{Position, Recorded, Stream, Version};
use hashbrown::HashMap;
use sqlx::postgres::PgSeverity;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::fetch::{self, Fetched, Place, failed};
use super::known::KnownKeys;
use super::rows::{Rows, rows_of, write};
use super::{ANSWER_MAX, Reader, connect, digest_of, hash_of, head_of, in_time, signed, unsigned};
use crate::chain::Hash;
use crate::commit::BODY_BYTES_MAX;
use crate::contract::Head;
use crate::error::{BeginError, CommitError, ReadError};
use crate::reader::decode;

/// How long it is tried to find out what became of a commit whose connection was lost.
const RESOLVE_MAX: Duration = Duration::from_secs(15);
/// Between two attempts to reach the database.
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// Keys of others' events that are taken in at once, while the next events are on their way.
const KEYS_TOGETHER: usize = 128;

/// Makes commits of one ledger, beside other nodes'. Blocks its thread, which must not be one that runs tasks.
#[derive(Debug)]
pub struct Appender {
    reader: Reader,
    /// The session's own, so that no other thread is waited for on the way to the database.
    runtime: Runtime,
    session: Option<PgConnection>,
    /// Whether the session holds the head.
    is_begun: bool,
    /// The end of the log when the head was taken last.
    head: Head,
    /// Up to where the caller knows the log.
    seen: Position,
    /// The head that was there, when it is known.
    seen_head: Option<Head>,
    /// The last versions of streams, as of what was seen; others are looked up.
    versions: HashMap<Stream, Version>,
    /// The keys up to what was seen.
    known: KnownKeys,
}

/// What an appender remembers of events that others appended.
#[derive(Debug, Default)]
pub struct Followed {
    versions: HashMap<Stream, Version>,
    keys: Vec<Uuid>,
}

impl Followed {
    /// Takes note of an event; of each stream's the last comes last.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn note(&mut self, raw: RawRecord<'_>) -> Result<(), DecodeError> {
        let head = raw.head()?;
        let digest = head.key.map(|(space, text, _)| digest_of(space, text));
        self.note_keyed(head.stream, head.version, digest);
        Ok(())
    }

    fn note_keyed(&mut self, stream: Stream, version: Version, digest: Option<Uuid>) {
        self.versions.insert(stream, version);
        self.keys.extend(digest);
    }
}

/// Why an attempt to commit came to nothing, as far as that is known.
enum Unmade {
    /// Nothing was written, and nothing would be by trying again.
    Refused(CommitError),
    /// The connection was lost before the end was asked for: nothing was written.
    LostBefore(sqlx::Error),
    /// The connection was lost when the end was asked for.
    LostAtEnd(sqlx::Error),
}

impl From<DecodeError> for Unmade {
    fn from(error: DecodeError) -> Unmade {
        Unmade::Refused(error.into())
    }
}

/// An error before the end of a transaction.
impl From<sqlx::Error> for Unmade {
    fn from(error: sqlx::Error) -> Unmade {
        if is_refusal(&error) {
            Unmade::Refused(CommitError::database(error))
        } else {
            Unmade::LostBefore(error)
        }
    }
}

impl Appender {
    pub(super) fn new(reader: Reader) -> io::Result<Appender> {
        let head = reader.head();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Appender {
            reader,
            runtime,
            session: None,
            is_begun: false,
            head,
            seen: head.position,
            seen_head: Some(head),
            versions: HashMap::new(),
            known: KnownKeys::default(),
        })
    }

    /// The end of the log when the head was taken or moved last.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Takes the head, so that nobody else appends until [`Appender::commit`] or [`Appender::release`], and gives what
    /// was appended since the log was seen last, in order. Nothing when it is held already.
    ///
    /// # Errors
    /// When the database cannot be asked; nothing is held then. [`BeginError::Moved`] when the ledger has gone elsewhere.
    pub fn begin(&mut self) -> Result<Vec<Recorded>, BeginError> {
        let mut missed = Vec::new();
        self.begin_with(|position, leading, _| {
            missed.push(decode(position, leading.raw)?);
            Ok(())
        })?;
        Ok(missed)
    }

    /// Like [`Appender::begin`], but `each` is given every record as soon as it is there, while the database gets the next
    /// ones ready, and the digest of its key, if it has one. Whether a record is what was appended is only known, like what
    /// it follows from, when all of them were given.
    ///
    /// # Errors
    /// Like those of [`Appender::begin`], and those of `each`. What was given before does not count then, and is given again
    /// the next time.
    pub fn begin_with(
        &mut self,
        each: impl FnMut(Position, Leading<'_>, Option<Uuid>) -> Result<(), ReadError>,
    ) -> Result<(), BeginError> {
        if self.is_begun {
            return Ok(());
        }
        let before = (self.seen, self.seen_head);
        let begun = self.take_head(each);
        if begun.is_err() {
            self.session = None;
            (self.seen, self.seen_head) = before;
        }
        self.is_begun = begun.is_ok();
        begun
    }

    fn take_head(
        &mut self,
        mut each: impl FnMut(Position, Leading<'_>, Option<Uuid>) -> Result<(), ReadError>,
    ) -> Result<(), BeginError> {
        let head = self.lock_anew()?;
        let is_other =
            head.position == self.seen && self.seen_head.is_some_and(|seen| seen.hash != head.hash);
        if head.position < self.seen || is_other {
            // Whoever decided on more than is there must not append to it.
            let what = format!(
                "it ends there, but this node has seen it up to {} (was it restored, or did a standby take over that was \
                 behind?); restart the node",
                self.seen
            );
            let position = head.position;
            return Err(ReadError::Damaged { position, what }.into());
        }
        let mut followed = Followed::default();
        while self.seen < head.position {
            let place = Place {
                no: self.reader.no(),
                after: self.seen,
                previous: self.seen_head.map(|seen| seen.hash),
                genesis: Hash::genesis(self.reader.ledger()),
            };
            // Of a single commit all is known.
            let single = self.seen_head.filter(|seen| seen.commit + 1 == head.commit);
            let session = self.session.as_mut().expect("the head is held by a session");
            let known = &mut self.known;
            let fetching = async {
                let mut commits = match single {
                    Some(_) => vec![Fetched::outline(place.after, &head)],
                    None => fetch::outlines(session, place).await?,
                };
                let take = |position, leading: Leading<'_>, digest: Option<Uuid>| {
                    if position <= place.after {
                        return Ok(());
                    }
                    followed.note_keyed(leading.head.stream, leading.head.version, digest);
                    // Some at a time, so that the processor waits for memory once for many. A key too many does no harm.
                    if followed.keys.len() == KEYS_TOGETHER {
                        followed.keys.drain(..).for_each(|digest| known.add(&digest));
                    }
                    each(position, leading, digest)
                };
                fetch::follow(session, place, &mut commits, take).await?;
                Ok(commits.last().map(Fetched::head))
            };
            let fetching = in_time(ANSWER_MAX, fetching, failed("read what others appended"));
            match self.runtime.block_on(fetching)? {
                Some(end) if end.position > self.seen => {
                    (self.seen, self.seen_head) = (end.position, Some(end))
                }
                _ => {
                    let (position, what) = (self.seen.next(), "the event is missing".to_owned());
                    return Err(ReadError::Damaged { position, what }.into());
                }
            }
        }
        self.remember(followed);
        self.seen_head = Some(head);
        Ok(())
    }

    fn remember(&mut self, followed: Followed) {
        self.versions.extend(followed.versions);
        followed.keys.iter().for_each(|digest| self.known.add(digest));
    }

    /// Locks the head of a ledger that is here.
    fn lock_anew(&mut self) -> Result<Head, BeginError> {
        let locked = self.lock_anew_even_if_moved()?;
        match locked.moved_to {
            None => Ok(locked.head),
            Some(to) => {
                self.session = None;
                Err(BeginError::Moved { to })
            }
        }
    }

    /// Locks the head. A session that was left from earlier may have ended since, which is no failure yet.
    fn lock_anew_even_if_moved(&mut self) -> Result<Locked, ReadError> {
        let left = self.session.take();
        let options = &self.reader.database().inner.options;
        let no = self.reader.no();
        let (session, locked) = self
            .runtime
            .block_on(async {
                if let Some(mut session) = left
                    && let Ok(locked) = in_time(ANSWER_MAX, lock(&mut session, no), identity).await
                {
                    return Ok((session, locked));
                }
                let mut session = connect(options).await?;
                let locked = in_time(ANSWER_MAX, lock(&mut session, no), identity).await?;
                Ok((session, locked))
            })
            .map_err(failed("take the ledger's head"))?;
        self.session = Some(session);
        self.head = locked.head;
        Ok(locked)
    }

    /// Lets go of the head without having appended anything.
    pub fn release(&mut self) {
        if !std::mem::take(&mut self.is_begun) {
            return;
        }
        if let Some(session) = &mut self.session {
            let ending = in_time(ANSWER_MAX, session.execute("rollback"), identity);
            if self.runtime.block_on(ending).is_err() {
                self.session = None;
            }
        }
    }

    /// Says that the caller has read on, from one position to the end of a commit, and what there was in between.
    pub fn follow(&mut self, after: Position, to: Head, followed: Followed) {
        if after != self.seen {
            return self.skip_to(to.position);
        }
        self.release();
        self.remember(followed);
        (self.seen, self.seen_head) = (to.position, Some(to));
    }

    /// Says that the caller knows the log up to a position by other ways, such as a [`Reader`], however it was before.
    pub fn skip_to(&mut self, position: Position) {
        if position != self.seen {
            self.release();
            self.seen = position;
            self.seen_head = None;
            self.versions.clear();
            self.known.forget();
        }
    }

    /// Where the keys with these digests were used; `None` for one that was not. To be asked while the head is held, so that
    /// the answer stays true until the commit.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn find_keys(&mut self, digests: &[Uuid]) -> Result<Vec<Option<Position>>, ReadError> {
        if digests.is_empty() {
            return Ok(Vec::new());
        }
        self.known.tend(&self.reader, self.seen);
        let doubtful = digests.iter().filter(|digest| self.known.may_have(digest));
        let doubtful: Vec<Uuid> = doubtful.copied().collect();
        if doubtful.is_empty() {
            return Ok(vec![None; digests.len()]);
        }
        let no = self.reader.no();
        let session = self.session.as_mut().ok_or_else(|| {
            let gone = io::Error::new(io::ErrorKind::NotConnected, "the head is not held");
            failed("look keys up")(sqlx::Error::Io(gone))
        })?;
        let asked = async {
            let sql = "select key, position from events where ledger = $1 and key = any($2)";
            let rows = sqlx::query(sql)
                .bind(no)
                .bind(&doubtful)
                .fetch_all(session)
                .await?;
            let entry = |row| {
                Ok((
                    Row::try_get::<Uuid, _>(row, "key")?,
                    Position(unsigned(row, "position")?),
                ))
            };
            rows.iter()
                .map(entry)
                .collect::<Result<HashMap<_, _>, sqlx::Error>>()
        };
        let found = self.runtime.block_on(in_time(ANSWER_MAX, asked, identity));
        if found.is_err() {
            // Whatever is wrong with the session, nothing more is to be asked of it.
            self.session = None;
            self.is_begun = false;
        }
        let found = found.map_err(failed("look keys up"))?;
        Ok(digests.iter().map(|digest| found.get(digest).copied()).collect())
    }

    /// Appends a body, all or nothing, and lets go of the head. It is durable when this returns; [`Reader::announce`]
    /// makes it known here. An empty body changes nothing.
    ///
    /// # Errors
    /// Only after [`CommitError::Unknown`] it is open whether the commit was made: read the log on.
    /// [`CommitError::Overtaken`] when others appended what the caller has not seen. Nothing was written with any error
    /// but the first.
    pub fn commit(&mut self, body: &Body) -> Result<Head, CommitError> {
        self.commit_keyed(body, &[])
    }

    /// Like [`Appender::commit`], with the digests of the body's keys in order, as far as they are known already.
    ///
    /// # Errors
    /// Those of [`Appender::commit`].
    pub fn commit_keyed(&mut self, body: &Body, digests: &[Uuid]) -> Result<Head, CommitError> {
        let committed = self.append(body, digests);
        if committed.is_err() {
            self.release();
            self.versions.clear();
            // Perhaps it was refused for a key that they should have had.
            self.known.forget();
        }
        committed
    }

    fn append(&mut self, body: &Body, digests: &[Uuid]) -> Result<Head, CommitError> {
        if !self.is_begun {
            let head = self.lock_anew().map_err(CommitError::begin)?;
            self.is_begun = true;
            self.check_not_overtaken(head)?;
            self.seen_head = Some(head);
        }
        let before = self.head;
        if body.is_empty() {
            self.release();
            return Ok(before);
        }
        check(body, &before)?;
        let rows = rows_of(body, &before, digests)?;
        let versions = self.make(body, &rows, &before)?;
        self.is_begun = false;
        rows.keys
            .iter()
            .flatten()
            .for_each(|digest| self.known.add(digest));
        (self.seen, self.seen_head) = (rows.head.position, Some(rows.head));
        self.versions.extend(versions);
        self.head = rows.head;
        Ok(rows.head)
    }

    /// Appends commits that another store has, each as it is there, in one transaction; also where the ledger is sealed. All
    /// are durable when this returns, and none are when it fails.
    ///
    /// # Errors
    /// [`CommitError::Overtaken`] when the log does not end where the first one begins.
    pub fn copy(&mut self, bodies: &[Body]) -> Result<Head, CommitError> {
        let copied = self.copy_under_lock(bodies);
        if copied.is_err() {
            self.session = None;
            self.is_begun = false;
        }
        copied
    }

    fn copy_under_lock(&mut self, bodies: &[Body]) -> Result<Head, CommitError> {
        let mut head = self
            .lock_anew_even_if_moved()
            .map_err(|error| CommitError::begin(error.into()))?
            .head;
        self.check_not_overtaken(head)?;
        let no = self.reader.no();
        for body in bodies {
            let rows = rows_of(body, &head, &[])?;
            let session = self.session.as_mut().expect("the head is held by a session");
            let written = self.runtime.block_on(write(session, no, &rows, &head));
            written.map_err(CommitError::database)?;
            head = rows.head;
        }
        let session = self.session.as_mut().expect("the head is held by a session");
        let ended = self.runtime.block_on(session.execute("commit"));
        ended.map_err(CommitError::unknown)?;
        self.head = head;
        (self.seen, self.seen_head) = (head.position, Some(head));
        self.versions.clear();
        self.known.forget();
        Ok(head)
    }

    fn check_not_overtaken(&self, head: Head) -> Result<(), CommitError> {
        let is_same = head.position == self.seen && self.seen_head.is_none_or(|seen| seen.hash == head.hash);
        if is_same {
            return Ok(());
        }
        Err(CommitError::Overtaken { head: head.position })
    }

    /// Every record must continue its stream; the last versions as they will be.
    fn check_versions(&mut self, body: &Body) -> Result<HashMap<Stream, Version>, Unmade> {
        let mut of_body = Vec::with_capacity(body.count() as usize);
        for record in BodyRef::parse(body.as_bytes())?.records() {
            let head = record?.head()?;
            of_body.push((head.stream, head.version));
        }
        self.learn_versions(&of_body)?;
        let mut after: HashMap<Stream, Version> = HashMap::new();
        for (stream, found) in of_body {
            let before = self.versions.get(&stream).copied().unwrap_or_default();
            let last = after.entry(stream).or_insert(before);
            let expected = last.next();
            if found != expected {
                return Err(Unmade::Refused(CommitError::OutOfOrder {
                    stream,
                    expected,
                    found,
                }));
            }
            *last = found;
        }
        Ok(after)
    }

    /// Looks up the last versions of streams that are not known yet.
    fn learn_versions(&mut self, of_body: &[(Stream, Version)]) -> Result<(), sqlx::Error> {
        let mut unknown: Vec<Stream> = of_body.iter().map(|(stream, _)| *stream).collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown.retain(|stream| !self.versions.contains_key(stream));
        if unknown.is_empty() {
            return Ok(());
        }
        let codes: Vec<i64> = unknown.iter().map(|stream| i64::from(stream.code())).collect();
        let session = self.session.as_mut().expect("the head is held by a session");
        let rows = self.runtime.block_on(in_time(
            ANSWER_MAX,
            sqlx::query(
                "select (select version from events where ledger = $1 and stream = code order by version desc limit 1)
                from unnest($2::int8[]) with ordinality as streams (code, place) order by place",
            )
            .bind(self.reader.no())
            .bind(codes)
            .fetch_all(session),
            identity,
        ))?;
        for (stream, row) in unknown.into_iter().zip(rows) {
            let version: Option<i64> = row.try_get(0)?;
            let version = version.map_or(0, i64::unsigned_abs);
            self.versions.insert(stream, Version(version));
        }
        Ok(())
    }

    /// Writes the rows under the head that is held; once more when the connection was lost, as long as nobody else came
    /// between. Gives the last versions of the streams.
    fn make(
        &mut self,
        body: &Body,
        rows: &Rows<'_>,
        before: &Head,
    ) -> Result<HashMap<Stream, Version>, CommitError> {
        let mut deadline = None;
        let mut is_unknown = false;
        loop {
            let lost = match self.try_to_make(body, rows, before) {
                Ok(versions) => return Ok(versions),
                Err(Unmade::Refused(error)) => return Err(error),
                Err(Unmade::LostBefore(error)) => error,
                Err(Unmade::LostAtEnd(error)) => {
                    is_unknown = true;
                    error
                }
            };
            tracing::warn!(
                error = &lost as &dyn std::error::Error,
                position = rows.first.0,
                was_asked = is_unknown,
                "the connection was lost in the middle of a commit; looking what became of it"
            );
            self.session = None;
            self.is_begun = false;
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + RESOLVE_MAX);
            let head = loop {
                match self.lock_anew() {
                    Ok(head) => break head,
                    Err(_) if Instant::now() < deadline => std::thread::sleep(RETRY_EVERY),
                    Err(error) if is_unknown => return Err(CommitError::unknown(error)),
                    Err(error) => return Err(CommitError::begin(error)),
                }
            };
            self.is_begun = true;
            if is_unknown && head.position >= rows.head.position && self.has_commit(rows)? {
                self.release();
                self.versions.clear();
                return Ok(HashMap::new());
            }
            self.check_not_overtaken(head)?;
        }
    }

    fn try_to_make(
        &mut self,
        body: &Body,
        rows: &Rows<'_>,
        before: &Head,
    ) -> Result<HashMap<Stream, Version>, Unmade> {
        let versions = self.check_versions(body)?;
        let session = self.session.as_mut().expect("the head is held by a session");
        let no = self.reader.no();
        self.runtime.block_on(async {
            in_time(ANSWER_MAX, write(session, no, rows, before), identity).await?;
            let ended = in_time(ANSWER_MAX, session.execute("commit"), identity).await;
            ended.map_err(Unmade::LostAtEnd)
        })?;
        Ok(versions)
    }

    /// Whether the log has these very rows.
    fn has_commit(&mut self, rows: &Rows<'_>) -> Result<bool, CommitError> {
        let session = self.session.as_mut().expect("the head is held by a session");
        let sql = "select hash from commits where ledger = $1 and first = $2";
        let asked = sqlx::query(sql)
            .bind(self.reader.no())
            .bind(signed(rows.first.0))
            .fetch_optional(session);
        let found = self
            .runtime
            .block_on(in_time(ANSWER_MAX, asked, identity))
            .and_then(|row| row.map(|row| hash_of(&row)).transpose());
        match found {
            Ok(hash) => Ok(hash == Some(rows.head.hash)),
            Err(error) => Err(CommitError::unknown(error)),
        }
    }
}

struct Locked {
    head: Head,
    moved_to: Option<String>,
}

/// Begins a transaction and locks the ledger's row, in one way to the database and back.
async fn lock(session: &mut PgConnection, no: i32) -> Result<Locked, sqlx::Error> {
    let sql = format!(
        "begin; select position, commit, hash, recorded_at, moved_to from ledgers where no = {no} for update"
    );
    let rows = session.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok(Locked {
        head: head_of(row)?,
        moved_to: row.try_get("moved_to")?,
    })
}

fn check(body: &Body, head: &Head) -> Result<(), CommitError> {
    let (bytes, bytes_max) = (body.as_bytes().len(), BODY_BYTES_MAX);
    if bytes > bytes_max {
        return Err(CommitError::TooLarge { bytes, bytes_max });
    }
    if body.recorded_at() < head.recorded_at {
        return Err(CommitError::BackInTime {
            head: head.recorded_at,
            found: body.recorded_at(),
        });
    }
    Ok(())
}

/// Whether the database said no and goes on, rather than the session having ended.
fn is_refusal(error: &sqlx::Error) -> bool {
    if matches!(error, sqlx::Error::RowNotFound) {
        return true;
    }
    let database = error.as_database_error();
    let postgres = database.and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>());
    postgres.is_some_and(|error| error.severity() == PgSeverity::Error)
}

impl Drop for Appender {
    fn drop(&mut self) {
        // Ends the session in order, where that is possible at once; the server ends it otherwise.
        if let Some(session) = self.session.take() {
            let _ended = self
                .runtime
                .block_on(async { tokio::time::timeout(RETRY_EVERY, session.close()).await });
        }
    }
}
