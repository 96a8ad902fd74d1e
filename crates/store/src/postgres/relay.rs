//! Who carries events to NATS, and how far each ledger was carried.

use std::convert::identity;
use std::time::Duration;

use bincard_ledger::Position;
use uuid::Uuid;

use super::fetch::failed;
use super::{ANSWER_MAX, Database, DatabaseError, Reader, signed, sql, unsigned};
use crate::error::ReadError;

impl Database {
    /// Takes or renews the right to relay for so long from now, by the database's clock; false while another has it.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn take_relay(&self, owner: Uuid, lasts: Duration) -> Result<bool, DatabaseError> {
        let pool = self.inner.pool.clone();
        let asked = async move {
            sqlx::query(
                "insert into relay as held (owner, until) values ($1, clock_timestamp() + $2 * interval '1 second')
                on conflict (one) do update set owner = excluded.owner, until = excluded.until
                where held.owner = excluded.owner or held.until < clock_timestamp()",
            )
            .bind(owner)
            .bind(lasts.as_secs_f64())
            .execute(&pool)
            .await
        };
        let taken = self.spawn(self.answer(ANSWER_MAX, asked, identity));
        let taken = taken.await.map_err(sql("take the right to relay"))?;
        Ok(taken.rows_affected() > 0)
    }

    /// Gives the right to relay back, if `owner` has it.
    ///
    /// # Errors
    /// When the database cannot be asked; the right runs out then.
    pub async fn give_relay_back(&self, owner: Uuid) -> Result<(), DatabaseError> {
        let pool = self.inner.pool.clone();
        let asked = async move {
            sqlx::query("update relay set until = '-infinity' where owner = $1")
                .bind(owner)
                .execute(&pool)
                .await
        };
        let given = self.spawn(self.answer(ANSWER_MAX, asked, identity));
        given.await.map_err(sql("give the right to relay back"))?;
        Ok(())
    }
}

impl Reader {
    /// How far the log was relayed when that was kept last.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn relayed(&self) -> Result<Option<Position>, ReadError> {
        let no = self.no();
        self.ask(move |pool| async move {
            let sql = "select position from relayed where ledger = $1";
            let row = sqlx::query(sql).bind(no).fetch_optional(&pool).await;
            let position = row.and_then(|row| row.map(|row| unsigned(&row, "position")).transpose());
            position
                .map(|position| position.map(Position))
                .map_err(failed("read how far the log was relayed"))
        })
    }

    /// Keeps how far the log was relayed.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn put_relayed(&self, position: Position) -> Result<(), ReadError> {
        let no = self.no();
        self.ask(move |pool| async move {
            let put = sqlx::query(
                "insert into relayed (ledger, position) values ($1, $2)
                on conflict (ledger) do update set position = greatest(relayed.position, excluded.position)",
            )
            .bind(no)
            .bind(signed(position.0))
            .execute(&pool)
            .await;
            put.map(drop).map_err(failed("keep how far the log was relayed"))
        })
    }
}
