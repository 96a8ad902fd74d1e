//! The way of one view from the log into its database, and several of them side by side.

use std::path::Path;
use std::sync::Arc;

use bincard_ledger::{Inconsistent, Position, Recorded};
use bincard_store::segment::Reader;
use futures_util::future::{join, join4};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::history::History;
use crate::name::ViewName;
use crate::reservations::Reservations;
use crate::source::Source;
use crate::sqlite::open_writer;
use crate::stock::Stock;
use crate::view::{self, View};
use crate::wal::WalKeeper;

/// The writing end of a view: the only connection that changes its database.
pub(crate) struct Lane<V: View> {
    pub(crate) generation: u64,
    pub(crate) position: Position,
    pub(crate) memory: Arc<V::Memory>,
    /// Whether there was nothing in the database when it was opened.
    pub(crate) was_empty: bool,
    connection: SqliteConnection,
    wal: WalKeeper,
}

impl<V: View> Lane<V> {
    /// Opens the database at `path`, making it when there is none, and loads its carry.
    ///
    /// # Errors
    /// [`Error::Foreign`] when the database is of another schema, or ahead of `head`.
    pub(crate) async fn open(path: &Path, generation: u64, head: Position) -> Result<(Lane<V>, V), Error> {
        let database = Error::database(V::NAME);
        let mut connection = open_writer(path).await.map_err(&database)?;
        let standing = view::standing(&mut connection).await.map_err(&database)?;
        let was_empty = standing.is_none();
        let position = match standing {
            Some((version, position)) if version == V::SCHEMA_VERSION && position <= head => position,
            Some((version, position)) => {
                return Err(Error::Foreign {
                    view: V::NAME,
                    schema: version,
                    wanted: V::SCHEMA_VERSION,
                    position,
                    head,
                });
            }
            None => {
                view::create::<V>(&mut connection).await?;
                Position(0)
            }
        };
        let carry = if position.0 == 0 {
            V::empty()
        } else {
            V::load(&mut connection).await.map_err(&database)?
        };
        let memory = Arc::new(carry.memory(position));
        Ok((
            Lane {
                generation,
                position,
                memory,
                was_empty,
                connection,
                wal: WalKeeper::new(V::NAME, path),
            },
            carry,
        ))
    }

    async fn write(&mut self, rows: &V::Rows, position: Position) -> Result<(), Error> {
        view::write_batch::<V>(&mut self.connection, rows, position).await?;
        V::publish(&self.memory, rows, position);
        self.position = position;
        self.wal.look(&mut self.connection).await;
        Ok(())
    }

    /// Closes the connection, which moves its write-ahead log into the database.
    pub(crate) async fn close(self) {
        self.wal.close();
        if let Err(error) = self.connection.close().await {
            tracing::warn!(view = %V::NAME, %error, "a view's connection did not close cleanly");
        }
    }
}

/// One of a kind for every view.
#[derive(Debug, Default)]
pub(crate) struct Each<S, H, C, R> {
    pub(crate) stock: S,
    pub(crate) history: H,
    pub(crate) catalogue: C,
    pub(crate) reservations: R,
}

/// The folding end of views: the log, and the carries that stand where it was last read.
struct Fold {
    source: Source,
    carries: Carries,
}

type RowsOf<V> = <V as View>::Rows;
type FoldResult<V> = Option<Result<RowsOf<V>, Inconsistent>>;

/// A batch of events as rows.
struct Folded {
    position: Position,
    rows: Each<FoldResult<Stock>, FoldResult<History>, FoldResult<Catalogue>, FoldResult<Reservations>>,
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
        let Each {
            stock,
            history,
            catalogue,
            reservations,
        } = &mut self.carries;
        let mut rows = Each {
            stock: begin(stock.as_ref()),
            history: begin(history.as_ref()),
            catalogue: begin(catalogue.as_ref()),
            reservations: begin(reservations.as_ref()),
        };
        let read = self.source.read(events_max, through, |event| {
            fold(stock, &mut rows.stock, event);
            fold(history, &mut rows.history, event);
            fold(catalogue, &mut rows.catalogue, event);
            fold(reservations, &mut rows.reservations, event);
        });
        let position = self.source.position();
        if position == start {
            return read.map(|()| None);
        }
        // What was read before an error is good; the error is met again by the next call.
        seal(stock, &mut rows.stock);
        seal(history, &mut rows.history);
        seal(catalogue, &mut rows.catalogue);
        seal(reservations, &mut rows.reservations);
        Ok(Some(Folded { position, rows }))
    }
}

/// Views that are fed together: all of them stand at the same position, as far as it was read.
pub(crate) struct Feed {
    pub(crate) lanes: Lanes,
    /// `None` only while it folds on another thread.
    fold: Option<Fold>,
    /// Folded and not written yet.
    pending: Option<Folded>,
}

/// A view that dropped out of its feed, and why.
pub(crate) type Dropped = (ViewName, Error);

/// What a step did.
#[derive(Default)]
pub(crate) struct Step {
    /// Whether there was anything to do.
    pub(crate) moved: bool,
    pub(crate) dropped: Vec<Dropped>,
}

impl Feed {
    /// A feed without views, at `position`.
    pub(crate) fn open(reader: &Reader, position: Position) -> Result<Feed, Error> {
        let fold = Fold {
            source: Source::open(reader, position)?,
            carries: Each::default(),
        };
        Ok(Feed {
            lanes: Each::default(),
            fold: Some(fold),
            pending: None,
        })
    }

    /// Opens the log again at the place that was read last, after it could not be read.
    pub(crate) fn reopen(&mut self, reader: &Reader) -> Result<(), Error> {
        if let Some(fold) = self.fold.as_mut() {
            fold.source = Source::open(reader, fold.source.position())?;
        }
        Ok(())
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
    /// When the log cannot be read. What was folded is written all the same.
    pub(crate) async fn step(&mut self, events_max: u64, through: Position) -> Result<Step, Error> {
        let mut step = Step::default();
        let fold = self.fold.take();
        let folding = async {
            match fold {
                Some(mut fold) if events_max > 0 => {
                    let folding = tokio::task::spawn_blocking(move || {
                        let folded = fold.next(events_max, through);
                        (fold, folded)
                    });
                    folding.await.map(|(fold, folded)| (Some(fold), folded))
                }
                fold => Ok((fold, Ok(None))),
            }
        };
        let pending = self.pending.take();
        let writing = async {
            match pending {
                Some(folded) => write_all(&mut self.lanes, folded).await,
                None => Vec::new(),
            }
        };
        step.moved = events_max > 0;
        let (folding, dropped) = join(folding, writing).await;
        // Only a panic while folding can have taken the fold away, or the runtime's end.
        let (fold, folded) = folding.map_err(|_| Error::Stopped)?;
        self.fold = fold;
        for (view, error) in dropped {
            self.drop_view(view);
            step.dropped.push((view, error));
        }
        let folded = folded?;
        step.moved = folded.is_some();
        self.pending = folded.map(|folded| self.without_dropped(folded));
        Ok(step)
    }

    /// Takes a view out: what was folded for it is not written.
    fn drop_view(&mut self, view: ViewName) {
        let Some(fold) = self.fold.as_mut() else { return };
        match view {
            ViewName::Stock => (self.lanes.stock, fold.carries.stock) = (None, None),
            ViewName::History => (self.lanes.history, fold.carries.history) = (None, None),
            ViewName::Catalogue => (self.lanes.catalogue, fold.carries.catalogue) = (None, None),
            ViewName::Reservations => (self.lanes.reservations, fold.carries.reservations) = (None, None),
        }
    }

    fn without_dropped(&self, mut folded: Folded) -> Folded {
        if self.lanes.stock.is_none() {
            folded.rows.stock = None;
        }
        if self.lanes.history.is_none() {
            folded.rows.history = None;
        }
        if self.lanes.catalogue.is_none() {
            folded.rows.catalogue = None;
        }
        if self.lanes.reservations.is_none() {
            folded.rows.reservations = None;
        }
        folded
    }

    /// Takes a view in, or another generation of one. It has to stand where the feed stands, and nothing may be pending.
    pub(crate) fn join<V: Fed>(&mut self, lane: Lane<V>, carry: V) -> Option<Lane<V>> {
        let fold = self.fold.as_mut()?;
        *V::carry(&mut fold.carries) = Some(carry);
        V::lane(&mut self.lanes).replace(lane)
    }

    /// Takes the view of a feed of one out of it.
    pub(crate) fn leave<V: Fed>(&mut self) -> Option<(Lane<V>, V)> {
        let carry = V::carry(&mut self.fold.as_mut()?.carries).take()?;
        Some((V::lane(&mut self.lanes).take()?, carry))
    }

    /// Closes all connections.
    pub(crate) async fn close(self) {
        let Each {
            stock,
            history,
            catalogue,
            reservations,
        } = self.lanes;
        async fn close<V: View>(lane: Option<Lane<V>>) {
            if let Some(lane) = lane {
                lane.close().await;
            }
        }
        join4(
            close(stock),
            close(history),
            close(catalogue),
            close(reservations),
        )
        .await;
    }
}

async fn write_all(lanes: &mut Lanes, folded: Folded) -> Vec<Dropped> {
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
    let (stock, history, catalogue, reservations) = join4(
        write(&mut lanes.stock, rows.stock, position),
        write(&mut lanes.history, rows.history, position),
        write(&mut lanes.catalogue, rows.catalogue, position),
        write(&mut lanes.reservations, rows.reservations, position),
    )
    .await;
    [stock, history, catalogue, reservations]
        .into_iter()
        .flatten()
        .collect()
}

pub(crate) type Lanes =
    Each<Option<Lane<Stock>>, Option<Lane<History>>, Option<Lane<Catalogue>>, Option<Lane<Reservations>>>;
type Carries = Each<Option<Stock>, Option<History>, Option<Catalogue>, Option<Reservations>>;

/// A view that a feed has a place for.
pub(crate) trait Fed: View {
    fn lane(lanes: &mut Lanes) -> &mut Option<Lane<Self>>;
    fn carry(carries: &mut Carries) -> &mut Option<Self>;
}

impl Fed for Stock {
    fn lane(lanes: &mut Lanes) -> &mut Option<Lane<Stock>> {
        &mut lanes.stock
    }
    fn carry(carries: &mut Carries) -> &mut Option<Stock> {
        &mut carries.stock
    }
}

impl Fed for History {
    fn lane(lanes: &mut Lanes) -> &mut Option<Lane<History>> {
        &mut lanes.history
    }
    fn carry(carries: &mut Carries) -> &mut Option<History> {
        &mut carries.history
    }
}

impl Fed for Catalogue {
    fn lane(lanes: &mut Lanes) -> &mut Option<Lane<Catalogue>> {
        &mut lanes.catalogue
    }
    fn carry(carries: &mut Carries) -> &mut Option<Catalogue> {
        &mut carries.catalogue
    }
}

impl Fed for Reservations {
    fn lane(lanes: &mut Lanes) -> &mut Option<Lane<Reservations>> {
        &mut lanes.reservations
    }
    fn carry(carries: &mut Carries) -> &mut Option<Reservations> {
        &mut carries.reservations
    }
}
