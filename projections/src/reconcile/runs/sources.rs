//! What was counted or reported outside, as runs keep it: its lines, what the ledger says of each, and when each key last
//! agreed.

use std::collections::{BTreeMap, HashMap};

use bincard_ledger::{Position, Timestamp};
use sqlx::AssertSqlSafe;

use super::{Hold, RunState, Runs, end_if_cancelled};
use crate::error::Error;
use crate::reconcile::outside::{Agreed, Corrected, Explained, Measures, Source, SourceLine, Variance};
use crate::sql::{Connection, Insert, Row, Value, query};
use crate::stock::StockKey;
use crate::views::{Page, Slice};

impl Runs {
    /// When each key last agreed with a source that measured the same.
    pub(in crate::reconcile) async fn agreed(
        &self,
        measures: Measures,
    ) -> Result<HashMap<StockKey, Agreed>, Error> {
        let read = async {
            let mut tx = self.read().await?;
            let rows =
                query("select warehouse, variant, run, at from agreed where ledger = $1 and measures = $2")
                    .bind(self.ledger)
                    .bind(measures.column())
                    .fetch_all(&mut tx.on())
                    .await?;
            let one = |row: &Row| {
                let key = StockKey::from_columns(row.try_get(0)?, row.try_get(1)?);
                let agreed = Agreed {
                    run: row.try_get::<i64>(2)?.cast_unsigned(),
                    at: Timestamp::from_micros(row.try_get(3)?),
                };
                Ok((key, agreed))
            };
            rows.iter().map(one).collect::<Result<_, sqlx::Error>>()
        };
        read.await.map_err(self.failing())
    }

    /// Writes down what the ledger says of the lines of a source.
    pub(in crate::reconcile) async fn note_source(
        &self,
        hold: Hold,
        id: u64,
        source: &Source,
        explained: &[Option<Explained>],
        now: Timestamp,
    ) -> Result<(), Error> {
        let key = (self.ledger, id.cast_signed());
        let mut tx = self.write_as(hold).await?;
        let note = async {
            let mut differing = 0_i64;
            // Of a key that is there twice, one row.
            let mut agreed: BTreeMap<[i64; 2], [Value; 6]> = BTreeMap::new();
            for (line, explained) in source.lines.iter().zip(explained) {
                match (&line.key, explained) {
                    (Ok(at), Some(one)) if line.quantity == one.at_report => {
                        let [warehouse, variant] = at.columns();
                        let row = [
                            key.0,
                            warehouse,
                            variant,
                            source.measures.column(),
                            key.1,
                            source.reported_at.unwrap_or(now).micros(),
                        ];
                        agreed.insert([warehouse, variant], row.map(Value::from));
                    }
                    _ => differing += 1,
                }
            }
            query("delete from lines where ledger = $1 and run = $2")
                .bind(key.0)
                .bind(key.1)
                .execute(&mut tx.on())
                .await?;
            add_lines(&mut tx.on(), key, source, explained).await?;
            let agreed: Vec<Value> = agreed.into_values().flatten().collect();
            let replaces = "on conflict (ledger, warehouse, variant, measures)
                            do update set run = excluded.run, at = excluded.at";
            Insert::new("agreed", 6, replaces)
                .run(&mut tx.on(), &agreed)
                .await?;
            query("update runs set differing = $3, is_compared = 1 where ledger = $1 and id = $2")
                .bind(key.0)
                .bind(key.1)
                .bind(differing)
                .execute(&mut tx.on())
                .await?;
            tx.commit().await
        };
        note.await.map_err(self.failing())
    }

    /// Ends a run whose source was compared, and applied where it was to be.
    pub(in crate::reconcile) async fn end_compared(
        &self,
        hold: Hold,
        id: u64,
        now: Timestamp,
    ) -> Result<(), Error> {
        let key = (self.ledger, id.cast_signed());
        let mut tx = self.write_as(hold).await?;
        let end = async {
            if !end_if_cancelled(&mut tx.on(), key, now).await? {
                query(
                    "update runs set state = case when differing = 0 then $3 else $4 end, ended_at = $5
                     where ledger = $1 and id = $2",
                )
                .bind(key.0)
                .bind(key.1)
                .bind(RunState::Agrees.column())
                .bind(RunState::Differs.column())
                .bind(now.micros())
                .execute(&mut tx.on())
                .await?;
            }
            tx.commit().await
        };
        end.await.map_err(self.failing())
    }

    /// Writes down what became of the correction of a line. It is so whoever says it.
    pub(in crate::reconcile) async fn note_correction(
        &self,
        id: u64,
        no: u64,
        corrected: &Corrected,
    ) -> Result<(), Error> {
        let (position, refused) = match corrected {
            Corrected::Recorded(position) => (Some(position.0.cast_signed()), None),
            Corrected::Before => (Some(BEFORE), None),
            Corrected::Refused(why) => (None, Some(why.as_str())),
        };
        let note = async {
            let mut tx = self.write().await?;
            query(
                "update lines set correction = coalesce(nullif(correction, $6), $4), refused = $5
                 where ledger = $1 and run = $2 and no = $3",
            )
            .bind(self.ledger)
            .bind(id.cast_signed())
            .bind(no.cast_signed())
            .bind(position)
            .bind(refused)
            .bind(BEFORE)
            .execute(&mut tx.on())
            .await?;
            tx.commit().await
        };
        note.await.map_err(self.failing())
    }

    /// A page of the lines of a run's source, in order, with what became of them.
    pub(in crate::reconcile) async fn variances(
        &self,
        id: u64,
        slice: Slice<u64>,
    ) -> Result<Page<Variance>, Error> {
        let read = async {
            let mut tx = self.read().await?;
            let sql = format!(
                "select {LINE} from lines where ledger = $1 and run = $2 and no > $3 order by no limit $4 offset $5"
            );
            let rows = query(AssertSqlSafe(sql))
                .bind(self.ledger)
                .bind(id.cast_signed())
                .bind(slice.after.unwrap_or_default().cast_signed())
                .bind(slice.wanted())
                .bind(slice.skip())
                .fetch_all(&mut tx.on())
                .await?;
            let rows = rows.iter().map(read_variance).collect::<Result<Vec<_>, _>>()?;
            let total = if slice.with_total {
                let count = query("select count(*) from lines where ledger = $1 and run = $2");
                let count = count.bind(self.ledger).bind(id.cast_signed());
                Some(count.fetch_one(&mut tx.on()).await?.try_get(0)?)
            } else {
                None
            };
            Ok(slice.page(rows, total))
        };
        read.await.map_err(self.failing())
    }
}

pub(super) async fn add_source(
    on: &mut Connection<'_>,
    (ledger, run): (i64, i64),
    source: &Source,
) -> Result<(), sqlx::Error> {
    query("insert into sources (ledger, run, name, reported_at, measures) values ($1, $2, $3, $4, $5)")
        .bind(ledger)
        .bind(run)
        .bind(source.name.as_str())
        .bind(source.reported_at.map(Timestamp::micros))
        .bind(source.measures.column())
        .execute(on)
        .await?;
    add_lines(on, (ledger, run), source, &vec![None; source.lines.len()]).await
}

/// Writes down lines, with what the ledger says of each, where that is known.
async fn add_lines(
    on: &mut Connection<'_>,
    (ledger, run): (i64, i64),
    source: &Source,
    explained: &[Option<Explained>],
) -> Result<(), sqlx::Error> {
    let mut rows: Vec<Value> = Vec::with_capacity(source.lines.len() * LINE_COLUMNS);
    for (no, (line, explained)) in (1_i64..).zip(source.lines.iter().zip(explained)) {
        let key = line.key.as_ref().ok();
        let one = explained.as_ref().filter(|_| key.is_some());
        let agreed = one.and_then(|one| one.agreed);
        rows.extend([
            ledger.into(),
            run.into(),
            no.into(),
            line.named.as_str().into(),
            key.map(|key| i64::from(key.warehouse.0)).into(),
            key.map(|key| i64::from(key.variant.0)).into(),
            line.key.as_ref().err().map(String::as_str).into(),
            line.quantity.into(),
            one.map(|one| one.at_report).into(),
            one.map(|one| one.now).into(),
            one.map(|one| one.reserved).into(),
            one.map(|one| one.picked).into(),
            one.map(|one| one.packed).into(),
            one.map(|one| one.held).into(),
            one.map(|one| one.unexplained).into(),
            agreed.map(|agreed| agreed.run.cast_signed()).into(),
            agreed.map(|agreed| agreed.at.micros()).into(),
            one.map(|one| one.in_transit).into(),
        ]);
    }
    let table = format!("lines (ledger, run, {LINE_WRITTEN})");
    Insert::new(&table, LINE_COLUMNS, "").run(on, &rows).await
}

/// The source of a run without its lines.
pub(super) async fn read_source_head(
    on: &mut Connection<'_>,
    (ledger, run): (i64, i64),
) -> Result<Option<Source>, sqlx::Error> {
    let row = query("select name, reported_at, measures from sources where ledger = $1 and run = $2")
        .bind(ledger)
        .bind(run)
        .fetch_optional(on)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Source {
        name: row.try_get(0)?,
        reported_at: row.try_get::<Option<i64>>(1)?.map(Timestamp::from_micros),
        measures: Measures::read(row.try_get(2)?)?,
        lines: Vec::new(),
    }))
}

pub(super) async fn read_source(
    on: &mut Connection<'_>,
    (ledger, run): (i64, i64),
) -> Result<Option<Source>, sqlx::Error> {
    let Some(mut source) = read_source_head(on, (ledger, run)).await? else {
        return Ok(None);
    };
    let sql = format!("select {LINE} from lines where ledger = $1 and run = $2 order by no");
    let rows = query(AssertSqlSafe(sql))
        .bind(ledger)
        .bind(run)
        .fetch_all(on)
        .await?;
    for row in rows {
        source.lines.push(read_variance(&row)?.line);
    }
    Ok(Some(source))
}

/// What is written when a line comes, and when it was compared.
const LINE_WRITTEN: &str = "no, named, warehouse, variant, problem, quantity, at_report, now, reserved, picked, packed, held, \
                            unexplained, agreed_run, agreed_at, in_transit";
/// As many, with the run that they are of.
const LINE_COLUMNS: usize = 18;

const LINE: &str = "no, named, warehouse, variant, problem, quantity, at_report, now, reserved, picked, packed, held, \
                    unexplained, agreed_run, agreed_at, in_transit, correction, refused";

/// What stands for the position of a correction that somebody recorded of whom nothing is known.
const BEFORE: i64 = 0;

fn read_variance(row: &Row) -> Result<Variance, sqlx::Error> {
    let whole = |index| row.try_get::<Option<i64>>(index);
    let problem: Option<String> = row.try_get(4)?;
    let key = match (whole(2)?, whole(3)?, problem) {
        (Some(warehouse), Some(variant), None) => Ok(StockKey::from_columns(warehouse, variant)),
        (_, _, problem) => Err(problem.unwrap_or_default()),
    };
    let explained = match whole(6)? {
        None => None,
        Some(at_report) => {
            let units = |index| Ok::<_, sqlx::Error>(whole(index)?.unwrap_or_default());
            Some(Explained {
                at_report,
                now: units(7)?,
                reserved: units(8)?,
                picked: units(9)?,
                packed: units(10)?,
                held: units(11)?,
                unexplained: units(12)?,
                in_transit: units(15)?,
                agreed: match (whole(13)?, whole(14)?) {
                    (Some(run), Some(at)) => Some(Agreed {
                        run: run.cast_unsigned(),
                        at: Timestamp::from_micros(at),
                    }),
                    _ => None,
                },
            })
        }
    };
    Ok(Variance {
        no: row.try_get::<i64>(0)?.cast_unsigned(),
        line: SourceLine {
            named: row.try_get(1)?,
            key,
            quantity: row.try_get(5)?,
        },
        explained,
        corrected: match (whole(16)?, row.try_get::<Option<String>>(17)?) {
            (Some(BEFORE), _) => Some(Corrected::Before),
            (Some(position), _) => Some(Corrected::Recorded(Position(position.cast_unsigned()))),
            (None, refused) => refused.map(Corrected::Refused),
        },
    })
}
