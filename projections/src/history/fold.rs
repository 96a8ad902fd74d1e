//! How events become history.

use std::cmp::Ordering;

use crate::sql::Connection;
use bincard_ledger::{Buckets, Event, Inconsistent, Position, Recorded, StockEvent, Timestamp};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::{
    BLOCK_POSITIONS, MARK_MOVEMENTS, PLACES_LOT, PLACES_REPEATED, RECORDED_POSITIONS, SPAN_DAYS, SPANS,
    queries, reason_column,
};
use crate::fold::{Lots, day_of, moved};
use crate::name::ViewName;
use crate::stock::StockKey;
use crate::view::View;

/// What the fold knows of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KeyCarry {
    pub(crate) buckets: Buckets,
    /// Movements since the last mark.
    pub(crate) unmarked: i64,
    /// The first and last occurrence among them, in microseconds.
    pub(crate) occurred_min: i64,
    pub(crate) occurred_max: i64,
    /// The last one of the shortest spans that it moved in, and what its movements there come to.
    pub(crate) span: i64,
    pub(crate) in_span: Buckets,
}

/// Before any movement.
const NO_SPAN: i64 = i64::MIN;

impl Default for KeyCarry {
    fn default() -> KeyCarry {
        KeyCarry {
            buckets: Buckets::default(),
            unmarked: 0,
            occurred_min: i64::MAX,
            occurred_max: i64::MIN,
            span: NO_SPAN,
            in_span: Buckets::default(),
        }
    }
}

/// The view, and its carry.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) keys: HashMap<StockKey, KeyCarry, FixedState>,
    pub(crate) lots: Lots,
    /// The stretch of positions that the last row of `recorded` stands for.
    pub(crate) recorded_stretch: i64,
    /// Keys that the batch at hand changed, with repetitions.
    touched: Vec<StockKey>,
}

/// Counts of events by day or block, warehouse, kind and reason.
pub(crate) type Counts = HashMap<[i64; 4], i64, FixedState>;

/// A movement as its row: variant, occurred at, position, line, warehouse, kind, reason, places, quantity, buckets.
pub(crate) type MovementColumns = [i64; 14];

/// Rows of a batch, by table.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Position, occurred at, recorded at, warehouse, kind, reason.
    pub(crate) events: Vec<[i64; 6]>,
    pub(crate) days: Counts,
    pub(crate) blocks: Counts,
    /// Recorded at, position.
    pub(crate) recorded: Vec<[i64; 2]>,
    pub(crate) movements: Vec<MovementColumns>,
    /// By variant, warehouse and day: the change of each bucket, and how many events.
    pub(crate) stock_days: HashMap<[i64; 3], [i64; 6], FixedState>,
    /// By variant, warehouse, length in days and number of a span: what comes to the change of each bucket.
    pub(crate) stock_spans: HashMap<[i64; 4], [i64; 5], FixedState>,
    pub(crate) keys: Vec<(StockKey, KeyCarry)>,
    /// Variant, warehouse, position, first and last occurrence, buckets.
    pub(crate) marks: Vec<[i64; 10]>,
    /// Lot, variant.
    pub(crate) lots: Vec<[i64; 2]>,
}

impl History {
    fn fold_event(
        &mut self,
        position: Position,
        recorded_at: Timestamp,
        event: &StockEvent,
        rows: &mut Rows,
    ) -> Result<(), &'static str> {
        let place = position.0.cast_signed();
        let (occurred_at, recorded_at) = (event.occurred_at.micros(), recorded_at.micros());
        let (warehouse, kind) = (i64::from(event.warehouse.0), i64::from(event.kind.code()));
        let (reason, day) = (reason_column(event.reason), day_of(occurred_at));
        rows.events
            .push([place, occurred_at, recorded_at, warehouse, kind, reason]);
        *rows.days.entry([day, warehouse, kind, reason]).or_default() += 1;
        *rows
            .blocks
            .entry([place / BLOCK_POSITIONS, warehouse, kind, reason])
            .or_default() += 1;
        if place / RECORDED_POSITIONS != self.recorded_stretch {
            self.recorded_stretch = place / RECORDED_POSITIONS;
            rows.recorded.push([recorded_at, place]);
        }
        for (line, posting) in event.postings.iter().enumerate() {
            let of = self.lots.variant_of(posting.variant);
            let variant = i64::from(of.0);
            let lot = if of == posting.variant {
                0
            } else {
                posting.variant.0
            };
            let key = StockKey {
                warehouse: event.warehouse,
                variant: of,
            };
            let carry = self.keys.entry(key).or_default();
            let after = moved(carry.buckets, posting).ok_or("a bucket would overflow")?;
            let before = std::mem::replace(&mut carry.buckets, after);
            let repeated = event.postings[..line]
                .iter()
                .any(|other| self.lots.variant_of(other.variant) == of);
            let places = i64::from(posting.from.code())
                | i64::from(posting.to.code()) << 4
                | if repeated { PLACES_REPEATED } else { 0 }
                | i64::from(lot) << PLACES_LOT;
            let [a, r, p, k, h] = after.0;
            let quantity = posting.quantity;
            rows.movements.push([
                variant,
                occurred_at,
                place,
                line as i64,
                warehouse,
                kind,
                reason,
                places,
                quantity,
                a,
                r,
                p,
                k,
                h,
            ]);
            let change = Buckets(std::array::from_fn(|bucket| after.0[bucket] - before.0[bucket]));
            let day = rows.stock_days.entry([variant, warehouse, day]).or_default();
            add(day, change);
            day[5] += i64::from(!repeated);
            if let Some((span, change)) = carry.move_in_span(day_of(occurred_at), change) {
                add_to_spans(rows, [variant, warehouse], span, change);
            }
            carry.unmarked += 1;
            carry.occurred_min = carry.occurred_min.min(occurred_at);
            carry.occurred_max = carry.occurred_max.max(occurred_at);
            self.touched.push(key);
        }
        for posting in &event.postings {
            let key = StockKey {
                warehouse: event.warehouse,
                variant: self.lots.variant_of(posting.variant),
            };
            self.mark_if_due(key, place, rows);
        }
        Ok(())
    }

    /// Forgets which keys a batch changed, for a fold whose rows nobody writes.
    pub(crate) fn forget_touched(&mut self) {
        self.touched.clear();
    }

    /// Writes a mark behind the event at `position` when there were enough movements since the last one. Marks lie
    /// between events, never inside of one.
    fn mark_if_due(&mut self, key: StockKey, position: i64, rows: &mut Rows) {
        let Some(carry) = self.keys.get_mut(&key) else {
            return;
        };
        if carry.unmarked < MARK_MOVEMENTS {
            return;
        }
        let [warehouse, variant] = key.columns();
        let [a, r, p, k, h] = carry.buckets.0;
        rows.marks.push([
            variant,
            warehouse,
            position,
            carry.occurred_min,
            carry.occurred_max,
            a,
            r,
            p,
            k,
            h,
        ]);
        *carry = KeyCarry {
            buckets: carry.buckets,
            span: carry.span,
            in_span: carry.in_span,
            ..KeyCarry::default()
        };
    }
}

impl KeyCarry {
    /// The columns between the buckets and those of the span.
    pub(crate) fn stretch(&self) -> [i64; 4] {
        [self.unmarked, self.occurred_min, self.occurred_max, self.span]
    }

    /// Counts a change in the span of its day; what is to be written of a span now, its number first.
    fn move_in_span(&mut self, day: i64, change: Buckets) -> Option<(i64, Buckets)> {
        let span = day.div_euclid(SPAN_DAYS);
        match span.cmp(&self.span) {
            Ordering::Less => Some((span, change)),
            Ordering::Equal => {
                add(&mut self.in_span.0, change);
                None
            }
            Ordering::Greater => {
                let over = (self.span, self.in_span);
                (self.span, self.in_span) = (span, change);
                (over.0 != NO_SPAN).then_some(over)
            }
        }
    }
}

/// Adds what one of the shortest spans, by its number, comes to.
fn add_to_spans(rows: &mut Rows, [variant, warehouse]: [i64; 2], span: i64, change: Buckets) {
    for days in SPANS {
        let key = [variant, warehouse, days, (span * SPAN_DAYS).div_euclid(days)];
        add(rows.stock_spans.entry(key).or_default(), change);
    }
}

/// Adds what a change comes to, bucket by bucket, to the columns that buckets begin.
fn add(sums: &mut [i64], change: Buckets) {
    for (sum, change) in sums.iter_mut().zip(change.0) {
        *sum += change;
    }
}

impl View for History {
    type Rows = Rows;
    type Memory = ();

    const NAME: ViewName = ViewName::History;
    const SCHEMA_VERSION: i64 = 5;
    const SCHEMA: &'static [&'static str] = queries::SCHEMA;

    fn empty() -> History {
        History {
            keys: HashMap::default(),
            lots: Lots::default(),
            recorded_stretch: -1,
            touched: Vec::new(),
        }
    }

    async fn load(connection: &mut Connection<'_>) -> Result<History, sqlx::Error> {
        let mut history = History::empty();
        queries::load_keys(connection, |key, carry| {
            history.keys.insert(key, carry);
        })
        .await?;
        history
            .lots
            .load(connection, "select lot, variant from lots")
            .await?;
        if let Some(position) = queries::last_recorded(connection).await? {
            history.recorded_stretch = position / RECORDED_POSITIONS;
        }
        Ok(history)
    }

    fn fold(&mut self, recorded: &Recorded, rows: &mut Rows) -> Result<(), Inconsistent> {
        let position = recorded.position;
        match &recorded.record.event {
            Event::Stock(event) => self
                .fold_event(position, recorded.recorded_at, event, rows)
                .map_err(|what| Inconsistent { position, what }),
            Event::Catalogue(event) => {
                if let Some((lot, variant)) = self.lots.hear(event) {
                    rows.lots.push([i64::from(lot.0), i64::from(variant.0)]);
                }
                Ok(())
            }
        }
    }

    fn seal(&mut self, rows: &mut Rows) {
        rows.movements.sort_unstable();
        rows.marks.sort_unstable();
        self.touched
            .sort_unstable_by_key(|key| (key.variant, key.warehouse));
        self.touched.dedup();
        rows.keys.reserve(self.touched.len());
        for key in self.touched.drain(..) {
            rows.keys
                .push((key, self.keys.get(&key).copied().unwrap_or_default()));
        }
    }

    async fn write(connection: &mut Connection<'_>, rows: &Rows) -> Result<(), sqlx::Error> {
        queries::write(connection, rows).await
    }

    fn memory(&self, _: Position) {}

    fn publish((): &(), _: &Rows, _: Position) {}
}
