//! The way of one view from the log into its database, and several of them side by side.

use std::sync::Arc;

use bincard_ledger::{Inconsistent, Position, Recorded};
use bincard_store::Reader;
use futures_util::FutureExt as _;
use futures_util::future::{join, join_all};
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use crate::each::{Each, Listed, PerView, each_view, with_view};
use crate::error::Error;
use crate::generation::Tables;
use crate::name::ViewName;
use crate::postgres::Schema;
use crate::source::Source;
use crate::sql::{Connection, Tx};
use crate::sqlite::open_writer;
use crate::view::{self, View};
use crate::wal::WalKeeper;

/// The writing end of a view: nobody else changes its tables.
pub(crate) struct Lane<V: View> {
    pub(crate) generation: u64,
    pub(crate) position: Position,
    pub(crate) memory: Arc<V::Memory>,
    /// Whether there were no tables when it was opened.
    pub(crate) was_empty: bool,
    writer: Writer,
}

/// What a lane writes to.
enum Writer {
    File {
        connection: SqliteConnection,
        wal: WalKeeper,
    },
    Schema {
        schema: Schema,
        /// Under which this node feeds the view.
        epoch: i64,
    },
    /// To nothing: another node feeds the view, and this one keeps its memory.
    Elsewhere,
}

impl<V: View> Lane<V> {
    /// Opens the tables of a generation, making them when there are none, and loads its carry.
    ///
    /// # Errors
    /// [`Error::Foreign`] when they are of another schema, or ahead of `head`; [`Error::FedElsewhere`] when another node
    /// feeds them; [`Error::LogBehind`] when another node fed them with what this one has not read yet.
    pub(crate) async fn open(tables: Tables, generation: u64, head: Position) -> Result<(Lane<V>, V), Error> {
        let database = Error::database(V::NAME);
        let usable = |(version, position)| {
            if version == V::SCHEMA_VERSION && position <= head {
                return Ok(position);
            }
            Err(Error::Foreign {
                view: V::NAME,
                schema: version,
                wanted: V::SCHEMA_VERSION,
                position,
                head,
            })
        };
        let (writer, was_empty, position, carry) = match tables {
            Tables::File(path) => {
                let mut connection = open_writer(&path).await.map_err(&database)?;
                let standing = view::standing(&mut connection).await.map_err(&database)?;
                let was_empty = standing.is_none();
                let position = match standing {
                    Some(standing) => usable(standing)?,
                    None => {
                        view::create::<V>(&mut connection).await?;
                        Position(0)
                    }
                };
                let carry = load::<V>(position, &mut Connection::Sqlite(&mut connection)).await?;
                let wal = WalKeeper::new(V::NAME, &path);
                (Writer::File { connection, wal }, was_empty, position, carry)
            }
            Tables::Schema(schema) => {
                // Loaded before the tables are let go: what this node itself was writing when its connection broke may
                // still be on the way.
                let mut taken = schema.take_over::<V>().await?;
                if taken.position > head && taken.version == V::SCHEMA_VERSION {
                    let (view, position) = (V::NAME, taken.position);
                    return Err(Error::LogBehind { view, position, head });
                }
                let position = usable((taken.version, taken.position))?;
                let carry = load::<V>(position, &mut taken.tx.on()).await?;
                taken.tx.commit().await.map_err(&database)?;
                let epoch = taken.epoch;
                (Writer::Schema { schema, epoch }, taken.was_empty, position, carry)
            }
        };
        let memory = Arc::new(carry.memory(position));
        Ok((
            Lane {
                generation,
                position,
                memory,
                was_empty,
                writer,
            },
            carry,
        ))
    }

    /// A view that another node feeds, as its tables stand.
    pub(crate) async fn follow(schema: &Schema, generation: u64) -> Result<(Lane<V>, V), Error> {
        let database = Error::database(V::NAME);
        let mut tx = schema.begin_read().await.map_err(&database)?;
        let connection = &mut Connection::Postgres(&mut tx);
        let position = view::checkpoint(connection).await.map_err(&database)?;
        let carry = load::<V>(position, connection).await?;
        let memory = Arc::new(carry.memory(position));
        let lane = Lane {
            generation,
            position,
            memory,
            was_empty: false,
            writer: Writer::Elsewhere,
        };
        Ok((lane, carry))
    }

    /// Whether this node feeds the view.
    pub(crate) fn is_fed_here(&self) -> bool {
        !matches!(self.writer, Writer::Elsewhere)
    }

    /// Whether a node that took the view under this epoch took it from this one.
    pub(crate) fn is_lost_to(&self, taken: i64) -> bool {
        matches!(self.writer, Writer::Schema { epoch, .. } if epoch < taken)
    }

    /// Begins to read what it wrote.
    pub(crate) async fn read(&mut self) -> Result<Tx<'_>, Error> {
        let begun = match &mut self.writer {
            Writer::File { connection, .. } => connection.begin().await.map(Tx::Sqlite),
            Writer::Schema { schema, .. } => schema.begin().await.map(Tx::Postgres),
            Writer::Elsewhere => return Err(Error::FedElsewhere { view: V::NAME }),
        };
        begun.map_err(Error::database(V::NAME))
    }

    /// Writes rows and the position they lead to, together or not at all.
    pub(crate) async fn write(&mut self, rows: &V::Rows, position: Position) -> Result<(), Error> {
        let database = Error::database(V::NAME);
        match &mut self.writer {
            Writer::File { connection, wal } => {
                view::write_batch::<V>(connection, rows, position)
                    .await
                    .map_err(&database)?;
                V::publish(&self.memory, rows, position);
                wal.look(connection).await;
            }
            Writer::Schema { schema, epoch } => {
                let mut tx = Tx::Postgres(schema.begin().await.map_err(&database)?);
                // First, so that whoever takes over waits for the end of this, or is known at once.
                let is_mine = schema
                    .advance(&mut tx.on(), *epoch, self.position, position)
                    .await;
                if !is_mine.map_err(&database)? {
                    return Err(Error::FedElsewhere { view: V::NAME });
                }
                let written = V::write(&mut tx.on(), rows).await;
                written.map_err(&database)?;
                tx.commit().await.map_err(&database)?;
                V::publish(&self.memory, rows, position);
            }
            Writer::Elsewhere => V::publish(&self.memory, rows, position),
        }
        self.position = position;
        Ok(())
    }

    /// Closes the connection to a file, which moves its write-ahead log into the database.
    pub(crate) async fn close(self) {
        if let Writer::File { connection, wal } = self.writer {
            wal.close();
            if let Err(error) = connection.close().await {
                tracing::warn!(view = %V::NAME, %error, "a view's connection did not close cleanly");
            }
        }
    }
}

/// The carry of the tables, which stand at `position`.
async fn load<V: View>(position: Position, connection: &mut Connection<'_>) -> Result<V, Error> {
    if position.0 == 0 {
        return Ok(V::empty());
    }
    V::load(connection).await.map_err(Error::database(V::NAME))
}

/// The folding end of views: the log, and the carries that stand where it was last read.
struct Fold {
    source: Source,
    carries: Each<Carries>,
}

/// What is folded of each view of a feed.
struct Carries;

impl PerView for Carries {
    type Of<V: View> = Option<V>;
}

/// What a batch of events adds to each view of a feed, unless it cannot be folded.
struct BatchRows;

impl PerView for BatchRows {
    type Of<V: View> = Option<Result<V::Rows, Inconsistent>>;
}

type FoldResult<V> = <BatchRows as PerView>::Of<V>;

/// A batch of events as rows.
struct Folded {
    position: Position,
    rows: Each<BatchRows>,
}

fn begin<V: View>(carry: Option<&V>) -> FoldResult<V> {
    carry.map(|_| Ok(V::Rows::default()))
}

fn fold<V: View>(carry: &mut Option<V>, rows: &mut FoldResult<V>, event: &Recorded) {
    if let (Some(view), Some(Ok(batch))) = (carry.as_mut(), rows.as_mut())
        && let Err(error) = view.fold(event, batch)
    {
        *rows = Some(Err(error));
        *carry = None;
    }
}

fn seal<V: View>(carry: &mut Option<V>, rows: &mut FoldResult<V>) {
    if let (Some(view), Some(Ok(batch))) = (carry.as_mut(), rows.as_mut()) {
        view.seal(batch);
    }
}

impl Fold {
    /// Folds what comes next; `None` at the head.
    fn next(&mut self, events_max: u64, through: Position) -> Result<Option<Folded>, Error> {
        let start = self.source.position();
        let carries = &mut self.carries;
        let mut rows = Each::<BatchRows>::default();
        each_view!(($V:ty, $view:ident) => { rows.$view = begin(carries.$view.as_ref()) });
        let read = self.source.read(events_max, through, |event| {
            let event = &event;
            each_view!(($V:ty, $view:ident) => { fold(&mut carries.$view, &mut rows.$view, event) });
        });
        let position = self.source.position();
        if position == start {
            return read.map(|()| None);
        }
        // What was read before an error is good; the error is met again by the next call.
        each_view!(($V:ty, $view:ident) => { seal(&mut carries.$view, &mut rows.$view) });
        Ok(Some(Folded { position, rows }))
    }
}

/// The writing end of each view of a feed.
pub(crate) struct Lanes;

impl PerView for Lanes {
    type Of<V: View> = Option<Lane<V>>;
}

/// Views that are fed together: all of them stand at the same position, as far as it was read.
pub(crate) struct Feed {
    pub(crate) lanes: Each<Lanes>,
    /// `None` only while it folds on another thread.
    fold: Option<Fold>,
    /// Folded and not written yet.
    pending: Option<Folded>,
}

/// A view that dropped out of its feed, and why.
pub(crate) type Dropped = (ViewName, Error);

/// What a step did.
pub(crate) struct Step {
    /// Whether there was anything to do.
    pub(crate) moved: bool,
    pub(crate) dropped: Vec<Dropped>,
    /// Why the log could not be read, if it could not. The next step tries again from the same place.
    pub(crate) unread: Option<Error>,
}

/// Folding panicked, and took what was folded with it: there is nothing to go on with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Panicked;

impl From<Panicked> for Error {
    fn from(_: Panicked) -> Error {
        Error::Stopped
    }
}

impl Feed {
    /// A feed without views, at `position`.
    pub(crate) fn after(reader: &Reader, position: Position) -> Feed {
        let fold = Fold {
            source: Source::after(reader, position),
            carries: Each::default(),
        };
        Feed {
            lanes: Each::default(),
            fold: Some(fold),
            pending: None,
        }
    }

    /// The position that was read last, written or not.
    pub(crate) fn position(&self) -> Position {
        self.fold
            .as_ref()
            .map_or(Position(0), |fold| fold.source.position())
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_settled(&self) -> bool {
        self.pending.is_none()
    }

    /// Writes what is folded and, when `events_max` is not 0, folds meanwhile what comes next.
    ///
    /// # Errors
    /// [`Panicked`], and nothing else: what failed of the log or of a view is in the step.
    pub(crate) async fn step(&mut self, events_max: u64, through: Position) -> Result<Step, Panicked> {
        let mut fold = self.fold.take().ok_or(Panicked)?;
        let folding = async {
            if events_max == 0 {
                return Ok((fold, Ok(None)));
            }
            let folding = tokio::task::spawn_blocking(move || {
                let folded = fold.next(events_max, through);
                (fold, folded)
            });
            folding.await
        };
        let pending = self.pending.take();
        let writing = async {
            match pending {
                Some(folded) => write_all(&mut self.lanes, folded).await,
                None => Vec::new(),
            }
        };
        let (folding, dropped) = join(folding, writing).await;
        // Only a panic while folding can have taken the fold away, or the runtime's end.
        let (fold, folded) = folding.map_err(|_| Panicked)?;
        self.fold = Some(fold);
        for (view, _) in &dropped {
            self.drop_view(*view);
        }
        let (folded, unread) = match folded {
            Ok(folded) => (folded, None),
            Err(error) => (None, Some(error)),
        };
        let moved = folded.is_some();
        self.pending = folded.map(|folded| self.without_dropped(folded));
        Ok(Step {
            moved,
            dropped,
            unread,
        })
    }

    /// Takes a view out: what was folded for it is not written.
    fn drop_view(&mut self, view: ViewName) {
        with_view!(view, V => drop(self.leave::<V>()));
    }

    fn without_dropped(&self, mut folded: Folded) -> Folded {
        each_view!(($V:ty, $view:ident) => {
            if self.lanes.$view.is_none() {
                folded.rows.$view = None;
            }
        });
        folded
    }

    /// Takes a view in, or another generation of one. It has to stand where the feed stands, and nothing may be pending.
    pub(crate) fn join<V: Listed>(&mut self, lane: Lane<V>, carry: V) -> Option<Lane<V>> {
        let fold = self.fold.as_mut()?;
        *V::of_mut(&mut fold.carries) = Some(carry);
        V::of_mut(&mut self.lanes).replace(lane)
    }

    /// A view and its carry, while nothing is pending: both stand at the feed's position.
    pub(crate) fn standing<V: Listed>(&mut self) -> Option<(&mut Lane<V>, &mut V)> {
        let carry = V::of_mut(&mut self.fold.as_mut()?.carries).as_mut()?;
        Some((V::of_mut(&mut self.lanes).as_mut()?, carry))
    }

    /// Takes a view out of the feed.
    pub(crate) fn leave<V: Listed>(&mut self) -> (Option<Lane<V>>, Option<V>) {
        let carry = self
            .fold
            .as_mut()
            .and_then(|fold| V::of_mut(&mut fold.carries).take());
        (V::of_mut(&mut self.lanes).take(), carry)
    }

    /// Closes all connections.
    pub(crate) async fn close(self) {
        async fn close<V: View>(lane: Option<Lane<V>>) {
            if let Some(lane) = lane {
                lane.close().await;
            }
        }
        let lanes = self.lanes;
        join_all(each_view!(($V:ty, $view:ident) => { close(lanes.$view).boxed() })).await;
    }
}

async fn write_all(lanes: &mut Each<Lanes>, folded: Folded) -> Vec<Dropped> {
    async fn write<V: View>(
        lane: &mut Option<Lane<V>>,
        rows: FoldResult<V>,
        position: Position,
    ) -> Option<Dropped> {
        let written = match (lane.as_mut()?, rows?) {
            (lane, Ok(rows)) => lane.write(&rows, position).await,
            (_, Err(error)) => Err(error.into()),
        };
        written.err().map(|error| (V::NAME, error))
    }
    let Folded { position, rows } = folded;
    let writing = each_view!(($V:ty, $view:ident) => {
        write(&mut lanes.$view, rows.$view, position).boxed()
    });
    join_all(writing).await.into_iter().flatten().collect()
}
