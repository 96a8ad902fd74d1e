//! The views as queries see them.

use std::sync::Arc;
use std::time::Duration;

use bincard_ledger::{Position, Timestamp, VariantNo, Version, WarehouseNo};
use bincard_store::Reader;
use tokio::sync::{mpsc, oneshot, watch};

use crate::catalogue::{
    self, Catalogue, CatalogueFilter, LotRow, ProductRow, SlotFilter, SlotRow, VariantRow, WarehouseRow,
    select,
};
use crate::counts::{self, CountFilter, CountRow, CountSheet, Counts};
use crate::each::Listed;
use crate::error::Error;
use crate::exceptions::{self, ExceptionFilter, ExceptionRow, Exceptions};
use crate::history::{
    self, AsOf, EventFilter, EventPage, EventSort, EventStart, History, LotsFilter, MovementCursor,
    MovementFilter, MovementPage, StockAsOf, TransactionFilter, TransactionRow, TransactionSums,
};
use crate::inventory::{self, InventoryFilter, InventoryRow};
use crate::name::ViewName;
use crate::projector::Control;
use crate::refold::{Refold, Refolded};
use crate::reservations::{self, ReservationFilter, ReservationRow, Reservations};
use crate::serving::{Reading, Shared, ViewStatus};
use crate::stock::{self, Stock, StockFilter, StockKey, StockRow};
use crate::transfers::{self, TransferFilter, TransferRow, Transfers};

/// An answer, and the position that its view stood at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer<T> {
    /// Everything up to here is in it, and nothing beyond.
    pub position: Position,
    /// What was asked for.
    pub value: T,
}

/// A part of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Whether there are more behind them.
    pub more: bool,
    /// How many rows pass the filter, where it was asked for.
    pub total: Option<u64>,
}

/// Where a page of a list that is ordered by a key begins, and how long it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slice<K> {
    /// Behind this key.
    pub after: Option<K>,
    /// After leaving so many rows out.
    pub skip: u64,
    /// The most rows.
    pub limit: usize,
    /// Whether to count all rows as well.
    pub with_total: bool,
}

impl<K> Slice<K> {
    pub(crate) fn skip(&self) -> i64 {
        i64::try_from(self.skip).unwrap_or(i64::MAX)
    }

    /// One more than the page takes, to see whether there is a next one.
    pub(crate) fn wanted(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1)
    }

    pub(crate) fn page<T>(&self, mut rows: Vec<T>, total: Option<i64>) -> Page<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        Page {
            rows,
            more,
            total: total.map(i64::cast_unsigned),
        }
    }
}

/// Reads the views of one ledger. Clones share everything.
#[derive(Clone)]
pub struct Views {
    pub(crate) shared: Arc<Shared>,
    control: mpsc::Sender<Control>,
}

/// A rebuild under way.
#[derive(Debug)]
pub struct Rebuild {
    /// Of which view.
    pub view: ViewName,
    done: oneshot::Receiver<Result<(), Error>>,
}

impl Rebuild {
    /// Waits until the new generation is served. It is built to the end whether anybody waits or not; how far it is,
    /// [`Views::status`] tells.
    ///
    /// # Errors
    /// What stopped it; the generation before is served as it was.
    pub async fn finished(self) -> Result<(), Error> {
        self.done.await.unwrap_or(Err(Error::Stopped))
    }
}

macro_rules! catalogue_queries {
    ($page:ident, $row:ty, $table:ident, $read:path, $what:literal) => {
        #[doc = concat!("The ", $what, " that pass `filter`, by number.")]
        ///
        /// # Errors
        /// When the view cannot be read.
        pub async fn $page(
            &self,
            filter: &CatalogueFilter,
            slice: Slice<u32>,
        ) -> Result<Answer<Page<$row>>, Error> {
            let database = self.failing(ViewName::Catalogue);
            let mut reading = self.begin::<Catalogue>().await?;
            let span = (slice.after.unwrap_or(0), slice.skip(), slice.wanted());
            let rows = catalogue::list(&mut reading.on(), select::$table, filter, span, $read)
                .await
                .map_err(&database)?;
            let total = match slice.with_total {
                true => Some(
                    catalogue::total(&mut reading.on(), select::$table, filter)
                        .await
                        .map_err(&database)?,
                ),
                false => None,
            };
            Ok(Answer {
                position: reading.position,
                value: slice.page(rows, total),
            })
        }
    };
}

impl Views {
    pub(crate) fn new(shared: Arc<Shared>, control: mpsc::Sender<Control>) -> Views {
        Views { shared, control }
    }

    async fn begin<V: Listed>(&self) -> Result<Reading, Error> {
        self.shared
            .begin(V::of(&self.shared.slots))
            .await
            .inspect_err(|error| self.notice_damage(V::NAME, error))
    }

    /// Makes an error of what the database says, and lets the projector know when it says that the file is damaged.
    fn failing(&self, view: ViewName) -> impl Fn(sqlx::Error) -> Error {
        move |source| {
            let error = Error::Database { view, source };
            self.notice_damage(view, &error);
            error
        }
    }

    fn notice_damage(&self, view: ViewName, error: &Error) {
        let generation = self.shared.status.borrow()[view.index()].generation;
        if let Some(generation) = generation.filter(|_| error.is_corruption()) {
            // A full queue is no harm: whoever meets the damage next tells it.
            let _full = self.control.try_send(Control::Damaged { view, generation });
        }
    }

    /// How each view stands.
    pub fn status(&self) -> [ViewStatus; ViewName::COUNT] {
        self.shared.status.borrow().clone()
    }

    /// How each view stands, and every change of it from now on.
    pub fn watch(&self) -> watch::Receiver<[ViewStatus; ViewName::COUNT]> {
        self.shared.status.subscribe()
    }

    /// Waits until all of `views` are served up to `position`.
    ///
    /// # Errors
    /// [`Error::Behind`] when they are not within `timeout`.
    pub async fn wait_for(
        &self,
        views: &[ViewName],
        position: Position,
        timeout: Duration,
    ) -> Result<(), Error> {
        let reached = |all: &[ViewStatus; ViewName::COUNT]| {
            views
                .iter()
                .all(|view| all[view.index()].generation.is_some() && all[view.index()].position >= position)
        };
        if reached(&self.shared.status.borrow()) {
            return Ok(());
        }
        self.shared.awaited.notify_one();
        let mut status = self.shared.status.subscribe();
        match tokio::time::timeout(timeout, status.wait_for(reached)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(_)) => return Err(Error::Stopped),
            Err(_) => {}
        }
        let all = self.status();
        let behind = views.iter().min_by_key(|view| {
            let status = &all[view.index()];
            (status.generation.is_some(), status.position)
        });
        match behind.map(|view| &all[view.index()]) {
            Some(last) => Err(Error::Behind {
                view: last.view,
                reached: last.position,
                wanted: position,
                waited: timeout,
            }),
            None => Ok(()),
        }
    }

    /// Builds a new generation of a view from the whole log, beside the one that is served and goes on being fed, and
    /// serves it once it has caught up.
    ///
    /// # Errors
    /// [`Error::Rebuilding`] when that is being done already, [`Error::Stopped`] when the projector has stopped.
    pub async fn rebuild(&self, view: ViewName) -> Result<Rebuild, Error> {
        let (accepted, answer) = oneshot::channel();
        self.control
            .send(Control::Rebuild { view, accepted })
            .await
            .map_err(|_| Error::Stopped)?;
        let done = answer.await.map_err(|_| Error::Stopped)??;
        Ok(Rebuild { view, done })
    }

    /// The stock of one key at the instant `now`, from memory; `None` for a key that never had any.
    ///
    /// # Errors
    /// [`Error::Building`] while there is nothing to serve.
    pub fn stock_row(&self, key: StockKey, now: Timestamp) -> Result<Answer<Option<StockRow>>, Error> {
        let (position, value) = self.shared.slots.stock.current()?.memory.row(key, now);
        Ok(Answer { position, value })
    }

    /// The version that a warehouse's stream has come to, from memory; 0 before its first event.
    ///
    /// Who asks for stock as well asks for this first: then no event that it counts is missing from the stock.
    ///
    /// # Errors
    /// [`Error::Building`] while there is nothing to serve.
    pub fn stock_version(&self, warehouse: WarehouseNo) -> Result<Answer<Version>, Error> {
        let (position, value) = self.shared.slots.stock.current()?.memory.version(warehouse);
        Ok(Answer { position, value })
    }

    /// The stock of the keys that pass `filter` at the instant `now`, by warehouse and variant.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn stock_page(
        &self,
        filter: &StockFilter,
        slice: Slice<StockKey>,
        now: Timestamp,
    ) -> Result<Answer<Page<StockRow>>, Error> {
        let database = self.failing(ViewName::Stock);
        let mut reading = self.begin::<Stock>().await?;
        let rows = stock::page(
            &mut reading.on(),
            filter,
            slice.after,
            slice.skip(),
            slice.wanted(),
            now,
        )
        .await
        .map_err(&database)?;
        let total = match slice.with_total {
            true => Some(stock::total(&mut reading.on(), filter).await.map_err(&database)?),
            false => None,
        };
        Ok(Answer {
            position: reading.position,
            value: slice.page(rows, total),
        })
    }

    /// The stock of one key in the past; zero where there was none.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn stock_as_of(&self, key: StockKey, past: AsOf) -> Result<Answer<StockAsOf>, Error> {
        let asked = self
            .shared
            .ask(&self.shared.slots.history, || history::question(key, past));
        let row = asked
            .await
            .inspect_err(|error| self.notice_damage(ViewName::History, error))?;
        let (position, buckets) = history::answer_of(&row, past);
        self.shared.hear_of(ViewName::History, position).await?;
        Ok(Answer {
            position,
            value: StockAsOf { key, buckets },
        })
    }

    /// The stock in the past of the keys that pass `filter`, by warehouse and variant: every key that has had stock by
    /// now is listed, with zeros where it had none then.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn stock_as_of_page(
        &self,
        filter: &StockFilter,
        past: AsOf,
        slice: Slice<StockKey>,
    ) -> Result<Answer<Page<StockAsOf>>, Error> {
        let database = self.failing(ViewName::History);
        let mut reading = self.begin::<History>().await?;
        let rows = history::as_of_page(
            &mut reading.on(),
            filter,
            past,
            slice.after,
            slice.skip(),
            slice.wanted(),
        )
        .await
        .map_err(&database)?;
        let total = match slice.with_total {
            true => Some(
                history::as_of_total(&mut reading.on(), filter)
                    .await
                    .map_err(&database)?,
            ),
            false => None,
        };
        Ok(Answer {
            position: reading.position,
            value: slice.page(rows, total),
        })
    }

    /// The stock in the past of a variant's lots that had moved by then, by warehouse and lot.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn lots_as_of_page(
        &self,
        filter: &LotsFilter,
        past: AsOf,
        slice: Slice<StockKey>,
    ) -> Result<Answer<Page<StockAsOf>>, Error> {
        let database = self.failing(ViewName::History);
        let mut reading = self.begin::<History>().await?;
        let (after, skip, limit) = (slice.after, slice.skip(), slice.wanted());
        let rows = history::lots_as_of_page(&mut reading.on(), filter, past, after, skip, limit).await;
        let rows = rows.map_err(&database)?;
        let total = match slice.with_total {
            true => Some(
                history::lots_as_of_total(&mut reading.on(), filter, past)
                    .await
                    .map_err(&database)?,
            ),
            false => None,
        };
        Ok(Answer {
            position: reading.position,
            value: slice.page(rows, total),
        })
    }

    /// A page of at most `limit` events.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn events(
        &self,
        filter: &EventFilter,
        sort: EventSort,
        start: EventStart,
        limit: usize,
        with_total: bool,
    ) -> Result<Answer<EventPage>, Error> {
        let mut reading = self.begin::<History>().await?;
        let value = history::events(&mut reading.on(), filter, sort, start, limit, with_total).await;
        Ok(Answer {
            position: reading.position,
            value: value.map_err(self.failing(ViewName::History))?,
        })
    }

    /// A page of the movements that pass `filter`, by variant and in the order of occurrence.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn movements(
        &self,
        filter: &MovementFilter,
        descending: bool,
        slice: Slice<MovementCursor>,
    ) -> Result<Answer<MovementPage>, Error> {
        let mut reading = self.begin::<History>().await?;
        let Slice {
            after,
            skip,
            limit,
            with_total,
        } = slice;
        let value = history::movements(
            &mut reading.on(),
            filter,
            descending,
            after,
            skip,
            limit,
            with_total,
        )
        .await;
        Ok(Answer {
            position: reading.position,
            value: value.map_err(self.failing(ViewName::History))?,
        })
    }

    /// The last `limit` events that moved a variant, in the order of occurrence, with the sums over all of them.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn transactions(
        &self,
        filter: &TransactionFilter,
        limit: usize,
    ) -> Result<Answer<(Vec<TransactionRow>, TransactionSums)>, Error> {
        let database = self.failing(ViewName::History);
        let mut reading = self.begin::<History>().await?;
        let rows = history::transactions(&mut reading.on(), filter, limit)
            .await
            .map_err(&database)?;
        let sums = history::sums(&mut reading.on(), filter)
            .await
            .map_err(&database)?;
        Ok(Answer {
            position: reading.position,
            value: (rows, sums),
        })
    }

    /// What one event did to a variant; `None` where the view has not come to it or it does not move the variant.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn transaction(
        &self,
        variant: VariantNo,
        occurred_at: Timestamp,
        position: Position,
    ) -> Result<Answer<Option<TransactionRow>>, Error> {
        let filter = TransactionFilter {
            variant,
            warehouses: None,
            kind: None,
            occurred_from: Some(occurred_at),
            occurred_to: Some(occurred_at),
            position: Some(position),
        };
        let mut reading = self.begin::<History>().await?;
        let rows = history::transactions(&mut reading.on(), &filter, 1).await;
        Ok(Answer {
            position: reading.position,
            value: rows.map_err(self.failing(ViewName::History))?.pop(),
        })
    }

    /// Folds all events of one stock key again and compares the outcome with the view of stock; where they differ, the
    /// projector puts the view right.
    ///
    /// # Errors
    /// When the log cannot be read, or the view is not served.
    pub async fn refold_stock(&self, log: &Reader, key: StockKey) -> Result<Refolded, Error> {
        let through = self.shared.status.borrow()[ViewName::Stock.index()].position;
        let log = log.clone();
        let folding = move || {
            let mut refold = Refold::new(key);
            refold.advance(&log, through).map(|()| refold)
        };
        let folded = tokio::task::spawn_blocking(folding).await;
        let refold = Box::new(folded.map_err(|_| Error::Stopped)??);
        let (done, answer) = oneshot::channel();
        let asked = Control::Refold { refold, done };
        self.control.send(asked).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// The reservation with this id, as it stands at `now`.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn reservation(
        &self,
        id: Position,
        now: Timestamp,
    ) -> Result<Answer<Option<ReservationRow>>, Error> {
        let mut reading = self.begin::<Reservations>().await?;
        let found = reservations::one(&mut reading.on(), id, now).await;
        Ok(Answer {
            position: reading.position,
            value: found.map_err(self.failing(ViewName::Reservations))?,
        })
    }

    /// A page of the reservations that pass `filter`, by when they were made, as they stand at `now`.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn reservations(
        &self,
        filter: &ReservationFilter,
        descending: bool,
        slice: Slice<Position>,
        now: Timestamp,
    ) -> Result<Answer<Page<ReservationRow>>, Error> {
        let database = self.failing(ViewName::Reservations);
        let mut reading = self.begin::<Reservations>().await?;
        let span = (slice.after, slice.skip(), slice.wanted());
        let rows = reservations::page(&mut reading.on(), filter, descending, span, now)
            .await
            .map_err(&database)?;
        let total = match slice.with_total {
            true => Some(
                reservations::total(&mut reading.on(), filter, now)
                    .await
                    .map_err(&database)?,
            ),
            false => None,
        };
        Ok(Answer {
            position: reading.position,
            value: slice.page(rows, total),
        })
    }

    /// A page of the slots that pass `filter`, by warehouse and variant.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn slots(
        &self,
        filter: &SlotFilter,
        slice: Slice<StockKey>,
    ) -> Result<Answer<Page<SlotRow>>, Error> {
        let database = self.failing(ViewName::Catalogue);
        let mut reading = self.begin::<Catalogue>().await?;
        let span = (slice.after, slice.skip(), slice.wanted());
        let rows = catalogue::slot_page(&mut reading.on(), filter, span)
            .await
            .map_err(&database)?;
        let total = match slice.with_total {
            true => Some(
                catalogue::slot_total(&mut reading.on(), filter)
                    .await
                    .map_err(&database)?,
            ),
            false => None,
        };
        Ok(Answer {
            position: reading.position,
            value: slice.page(rows, total),
        })
    }

    /// The slot with a key; `None` when nothing ever lay there and nothing was said of it.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn slot(&self, key: StockKey) -> Result<Answer<Option<SlotRow>>, Error> {
        let mut reading = self.begin::<Catalogue>().await?;
        let found = catalogue::slot(&mut reading.on(), key).await;
        Ok(Answer {
            position: reading.position,
            value: found.map_err(self.failing(ViewName::Catalogue))?,
        })
    }

    /// The place of a slot in the order of picking at its warehouse, from memory.
    ///
    /// # Errors
    /// [`Error::Building`] while there is nothing to serve.
    pub fn pick_order(&self, key: StockKey) -> Result<Answer<Option<i64>>, Error> {
        let serving = self.shared.slots.catalogue.current()?;
        let (position, orders) = serving.memory.in_order(Some(&[key.warehouse]));
        let mut slots = orders.iter().flat_map(|(_, order)| order.iter());
        let value = slots
            .find(|slot| slot.variant == key.variant)
            .map(|slot| slot.number);
        Ok(Answer { position, value })
    }

    /// A page of what lies where: every slot that passes `filter`, by warehouse and in the order of picking, with its
    /// stock at the instant `now`. Always with its total.
    ///
    /// # Errors
    /// When a view cannot be read.
    pub async fn inventory(
        &self,
        filter: &InventoryFilter,
        skip: u64,
        limit: usize,
        now: Timestamp,
    ) -> Result<Answer<Page<InventoryRow>>, Error> {
        let mut reading = self.begin::<Catalogue>().await?;
        let catalogue = self.shared.slots.catalogue.current()?;
        let stock = self.shared.slots.stock.current()?;
        inventory::page(
            &mut reading.on(),
            (&catalogue.memory, &stock.memory),
            filter,
            (skip, limit),
            now,
        )
        .await
        .map_err(self.failing(ViewName::Catalogue))
    }

    /// The exception with this id.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn exception(&self, id: Position) -> Result<Answer<Option<ExceptionRow>>, Error> {
        let mut reading = self.begin::<Exceptions>().await?;
        let found = exceptions::one(&mut reading.on(), id).await;
        Ok(Answer {
            position: reading.position,
            value: found.map_err(self.failing(ViewName::Exceptions))?,
        })
    }

    /// A page of the exceptions that pass `filter`, by when they were made.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn exceptions(
        &self,
        filter: &ExceptionFilter,
        descending: bool,
        slice: Slice<Position>,
    ) -> Result<Answer<Page<ExceptionRow>>, Error> {
        let database = self.failing(ViewName::Exceptions);
        let mut reading = self.begin::<Exceptions>().await?;
        let span = (slice.after, slice.skip(), slice.wanted());
        let rows = exceptions::page(&mut reading.on(), filter, descending, span)
            .await
            .map_err(&database)?;
        let total = match slice.with_total {
            true => Some(
                exceptions::total(&mut reading.on(), filter)
                    .await
                    .map_err(&database)?,
            ),
            false => None,
        };
        Ok(Answer {
            position: reading.position,
            value: slice.page(rows, total),
        })
    }

    /// The transfer with an id.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn transfer(&self, id: Position) -> Result<Answer<Option<TransferRow>>, Error> {
        let mut reading = self.begin::<Transfers>().await?;
        let found = transfers::one(&mut reading.on(), id).await;
        Ok(Answer {
            position: reading.position,
            value: found.map_err(self.failing(ViewName::Transfers))?,
        })
    }

    /// A page of the transfers that pass `filter`, by when they were dispatched.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn transfers(
        &self,
        filter: &TransferFilter,
        descending: bool,
        slice: Slice<Position>,
    ) -> Result<Answer<Page<TransferRow>>, Error> {
        let database = self.failing(ViewName::Transfers);
        let mut reading = self.begin::<Transfers>().await?;
        let span = (slice.after, slice.skip(), slice.wanted());
        let rows = transfers::page(&mut reading.on(), filter, descending, span)
            .await
            .map_err(&database)?;
        let total = match slice.with_total {
            true => Some(
                transfers::total(&mut reading.on(), filter)
                    .await
                    .map_err(&database)?,
            ),
            false => None,
        };
        Ok(Answer {
            position: reading.position,
            value: slice.page(rows, total),
        })
    }

    /// The count with an id, with all that was submitted.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn count(&self, id: Position) -> Result<Answer<Option<CountSheet>>, Error> {
        let mut reading = self.begin::<Counts>().await?;
        let found = counts::one(&mut reading.on(), id).await;
        Ok(Answer {
            position: reading.position,
            value: found.map_err(self.failing(ViewName::Counts))?,
        })
    }

    /// A page of the counts that pass `filter`, by when they were opened.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub async fn counts(
        &self,
        filter: &CountFilter,
        descending: bool,
        slice: Slice<Position>,
    ) -> Result<Answer<Page<CountRow>>, Error> {
        let database = self.failing(ViewName::Counts);
        let mut reading = self.begin::<Counts>().await?;
        let span = (slice.after, slice.skip(), slice.wanted());
        let rows = counts::page(&mut reading.on(), filter, descending, span)
            .await
            .map_err(&database)?;
        let total = match slice.with_total {
            true => Some(
                counts::total(&mut reading.on(), filter)
                    .await
                    .map_err(&database)?,
            ),
            false => None,
        };
        Ok(Answer {
            position: reading.position,
            value: slice.page(rows, total),
        })
    }

    catalogue_queries!(
        warehouses,
        WarehouseRow,
        WAREHOUSES,
        catalogue::read_warehouse,
        "warehouses"
    );
    catalogue_queries!(
        products,
        ProductRow,
        PRODUCTS,
        catalogue::read_product,
        "products"
    );
    catalogue_queries!(
        variants,
        VariantRow,
        VARIANTS,
        catalogue::read_variant,
        "variants"
    );
    catalogue_queries!(lots, LotRow, LOTS, catalogue::read_lot, "lots");
}
