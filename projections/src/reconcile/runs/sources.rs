//! What was counted or reported outside, as runs keep it: its lines, what the ledger says of each, and when each key last
//! agreed.

use std::collections::HashMap;

use bincard_ledger::{Position, Timestamp};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use super::{RunState, Runs, end_if_cancelled};
use crate::error::Error;
use crate::reconcile::outside::{Agreed, Corrected, Explained, Measures, Source, SourceLine, Variance};
use crate::stock::StockKey;
use crate::views::{Page, Slice};

impl Runs {
    /// When each key last agreed with a source that measured the same.
    pub(in crate::reconcile) async fn agreed(
        &self,
        measures: Measures,
    ) -> Result<HashMap<StockKey, Agreed>, Error> {
        let rows = sqlx::query("select warehouse, variant, run, at from agreed where measures = $1")
            .bind(measures.column())
            .fetch_all(&self.pool)
            .await
            .map_err(self.failing())?;
        let read = |row: &SqliteRow| {
            let key = StockKey::from_columns(row.try_get(0)?, row.try_get(1)?);
            let agreed = Agreed {
                run: row.try_get::<i64, _>(2)?.cast_unsigned(),
                at: Timestamp::from_micros(row.try_get(3)?),
            };
            Ok((key, agreed))
        };
        let all: Result<_, sqlx::Error> = rows.iter().map(read).collect();
        all.map_err(self.failing())
    }

    /// Writes down what the ledger says of the lines of a source.
    pub(in crate::reconcile) async fn note_source(
        &self,
        id: u64,
        source: &Source,
        explained: &[Option<Explained>],
        now: Timestamp,
    ) -> Result<(), Error> {
        let end = async {
            let mut tx = self.pool.begin_with("begin immediate").await?;
            let mut differing = 0_i64;
            for (index, (line, explained)) in source.lines.iter().zip(explained).enumerate() {
                let (Ok(key), Some(one)) = (&line.key, explained) else {
                    differing += 1;
                    continue;
                };
                let [warehouse, variant] = key.columns();
                sqlx::query(
                    "update lines set at_report = $3, now = $4, reserved = $5, picked = $6, packed = $7, held = $8,
                     unexplained = $9, agreed_run = $10, agreed_at = $11, in_transit = $12 where run = $1 and no = $2",
                )
                .bind(id.cast_signed())
                .bind(index as i64 + 1)
                .bind(one.at_report)
                .bind(one.now)
                .bind(one.reserved)
                .bind(one.picked)
                .bind(one.packed)
                .bind(one.held)
                .bind(one.unexplained)
                .bind(one.agreed.map(|agreed| agreed.run.cast_signed()))
                .bind(one.agreed.map(|agreed| agreed.at.micros()))
                .bind(one.in_transit)
                .execute(&mut *tx)
                .await?;
                if line.quantity == one.at_report {
                    sqlx::query("insert or replace into agreed values ($1, $2, $3, $4, $5)")
                        .bind(warehouse)
                        .bind(variant)
                        .bind(source.measures.column())
                        .bind(id.cast_signed())
                        .bind(source.reported_at.unwrap_or(now).micros())
                        .execute(&mut *tx)
                        .await?;
                } else {
                    differing += 1;
                }
            }
            sqlx::query("update runs set differing = $2, is_compared = 1 where id = $1")
                .bind(id.cast_signed())
                .bind(differing)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        };
        end.await.map_err(self.failing())
    }

    /// Ends a run whose source was compared, and applied where it was to be.
    pub(in crate::reconcile) async fn end_compared(&self, id: u64, now: Timestamp) -> Result<(), Error> {
        let end = async {
            let mut tx = self.pool.begin_with("begin immediate").await?;
            if !end_if_cancelled(&mut tx, id, now).await? {
                sqlx::query(
                    "update runs set state = iif(differing = 0, $2, $3), ended_at = $4 where id = $1",
                )
                .bind(id.cast_signed())
                .bind(RunState::Agrees.column())
                .bind(RunState::Differs.column())
                .bind(now.micros())
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await
        };
        end.await.map_err(self.failing())
    }

    /// Writes down what became of the correction of a line.
    pub(in crate::reconcile) async fn note_correction(
        &self,
        id: u64,
        no: u64,
        corrected: &Corrected,
    ) -> Result<(), Error> {
        let (position, refused) = match corrected {
            Corrected::Recorded(position) => (Some(position.0.cast_signed()), None),
            Corrected::Before => (Some(BEFORE), None),
            Corrected::Refused(why) => (None, Some(why)),
        };
        let noted = sqlx::query(
            "update lines set correction = coalesce(nullif(correction, $5), $3), refused = $4 where run = $1 and no = $2",
        )
        .bind(id.cast_signed())
        .bind(no.cast_signed())
        .bind(position)
        .bind(refused)
        .bind(BEFORE)
        .execute(&self.pool)
        .await;
        noted.map(|_| ()).map_err(self.failing())
    }

    /// A page of the lines of a run's source, in order, with what became of them.
    pub(in crate::reconcile) async fn variances(
        &self,
        id: u64,
        slice: Slice<u64>,
    ) -> Result<Page<Variance>, Error> {
        let read = async {
            let mut connection = self.pool.acquire().await?;
            let sql =
                format!("select {LINE} from lines where run = $1 and no > $2 order by no limit $3 offset $4");
            let rows = sqlx::query(AssertSqlSafe(sql))
                .bind(id.cast_signed())
                .bind(slice.after.unwrap_or_default().cast_signed())
                .bind(slice.wanted())
                .bind(slice.skip())
                .fetch_all(&mut *connection)
                .await?;
            let rows = rows.iter().map(read_variance).collect::<Result<Vec<_>, _>>()?;
            let total = if slice.with_total {
                let count = sqlx::query_scalar("select count(*) from lines where run = $1");
                Some(count.bind(id.cast_signed()).fetch_one(&mut *connection).await?)
            } else {
                None
            };
            Ok(slice.page(rows, total))
        };
        read.await.map_err(self.failing())
    }
}

pub(super) async fn add_source(
    connection: &mut SqliteConnection,
    run: i64,
    source: &Source,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert into sources (run, name, reported_at, measures) values ($1, $2, $3, $4)")
        .bind(run)
        .bind(&source.name)
        .bind(source.reported_at.map(Timestamp::micros))
        .bind(source.measures.column())
        .execute(&mut *connection)
        .await?;
    for (index, line) in source.lines.iter().enumerate() {
        let key = line.key.as_ref().ok();
        sqlx::query(
            "insert into lines (run, no, named, warehouse, variant, problem, quantity)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(run)
        .bind(index as i64 + 1)
        .bind(&line.named)
        .bind(key.map(|key| i64::from(key.warehouse.0)))
        .bind(key.map(|key| i64::from(key.variant.0)))
        .bind(line.key.as_ref().err())
        .bind(line.quantity)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The source of a run without its lines.
pub(super) async fn read_source_head(
    connection: &mut SqliteConnection,
    run: u64,
) -> Result<Option<Source>, sqlx::Error> {
    let row = sqlx::query("select name, reported_at, measures from sources where run = $1")
        .bind(run.cast_signed())
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Source {
        name: row.try_get(0)?,
        reported_at: row.try_get::<Option<i64>, _>(1)?.map(Timestamp::from_micros),
        measures: Measures::read(row.try_get(2)?)?,
        lines: Vec::new(),
    }))
}

pub(super) async fn read_source(
    connection: &mut SqliteConnection,
    run: u64,
) -> Result<Option<Source>, sqlx::Error> {
    let Some(mut source) = read_source_head(connection, run).await? else {
        return Ok(None);
    };
    let rows = sqlx::query(AssertSqlSafe(format!(
        "select {LINE} from lines where run = $1 order by no"
    )))
    .bind(run.cast_signed())
    .fetch_all(connection)
    .await?;
    for row in rows {
        source.lines.push(read_variance(&row)?.line);
    }
    Ok(Some(source))
}

const LINE: &str = "no, named, warehouse, variant, problem, quantity, at_report, now, reserved, picked, packed, held, \
                    unexplained, agreed_run, agreed_at, in_transit, correction, refused";

/// What stands for the position of a correction that somebody recorded of whom nothing is known.
const BEFORE: i64 = 0;

fn read_variance(row: &SqliteRow) -> Result<Variance, sqlx::Error> {
    let whole = |index| row.try_get::<Option<i64>, _>(index);
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
        no: row.try_get::<i64, _>(0)?.cast_unsigned(),
        line: SourceLine {
            named: row.try_get(1)?,
            key,
            quantity: row.try_get(5)?,
        },
        explained,
        corrected: match (whole(16)?, row.try_get::<Option<String>, _>(17)?) {
            (Some(BEFORE), _) => Some(Corrected::Before),
            (Some(position), _) => Some(Corrected::Recorded(Position(position.cast_unsigned()))),
            (None, refused) => refused.map(Corrected::Refused),
        },
    })
}
