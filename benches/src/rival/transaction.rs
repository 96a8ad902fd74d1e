//! The rival's transaction: one stock event, all or nothing.
//!
//! The event goes in first: that claims its idempotency key without a look-up of its own, and the stock rows
//! are locked for three statements instead of four.

use super::Rival;
use crate::wire::{CreateStockEvent, Line, Reason, Refusal, StockEvent};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// The user that every event is recorded under: the rival knows no callers.
const CREATED_BY: (Uuid, &str) = (Uuid::from_u128(1), "bench");

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// It was recorded.
    Created(StockEvent),
    /// It had been recorded under the same key before; here is the first answer again.
    Replayed(StockEvent),
    /// It was refused and left nothing behind.
    Refused(Refusal),
}

/// A stock row, locked, with what the checks and the answer need of its variant and warehouse.
#[derive(Debug, sqlx::FromRow)]
struct Locked {
    variant_id: Uuid,
    on_hand: i64,
    sku: String,
    is_active: bool,
    expires_at: Option<DateTime<Utc>>,
    warehouse_code: String,
}

impl Rival {
    /// Records a stock event that has been validated.
    ///
    /// # Errors
    /// What the database says.
    pub async fn post(&self, key: Option<&str>, request: &CreateStockEvent) -> sqlx::Result<Posted> {
        let now = Utc::now();
        let event_id = Uuid::now_v7();
        let occurred_at = request.occurred_at.unwrap_or(now);
        let mut transaction = self.pool.begin().await?;
        if !event_insert(&mut transaction, event_id, key, request, occurred_at, now).await? {
            transaction.rollback().await?;
            return self.replay(key, request).await;
        }
        let rows = match stock_lock(&mut transaction, request).await? {
            Ok(rows) => rows,
            Err(refusal) => {
                transaction.rollback().await?;
                return Ok(Posted::Refused(refusal));
            }
        };
        if let Some(refusal) = refusal(request, &rows, now) {
            transaction.rollback().await?;
            return Ok(Posted::Refused(refusal));
        }
        stock_update(&mut transaction, request).await?;
        let line_ids: Vec<Uuid> = request.lines.iter().map(|_| Uuid::now_v7()).collect();
        movements_insert(&mut transaction, event_id, request, &rows, &line_ids, occurred_at).await?;
        transaction.commit().await?;
        Ok(Posted::Created(StockEvent {
            id: event_id,
            kind: request.kind,
            warehouse_id: request.warehouse_id,
            warehouse_code: rows
                .values()
                .next()
                .map(|row| row.warehouse_code.clone())
                .unwrap_or_default(),
            occurred_at,
            reason_code: request.reason_code,
            notes: request.notes.clone(),
            created_by_id: CREATED_BY.0,
            created_by_username: CREATED_BY.1.to_owned(),
            created_at: now,
            lines: lines(request, &rows, &line_ids),
        }))
    }

    /// The first answer again, or a conflict when the key was used for another request.
    async fn replay(&self, key: Option<&str>, request: &CreateStockEvent) -> sqlx::Result<Posted> {
        type First = (Uuid, String, DateTime<Utc>, DateTime<Utc>, i64);
        let (id, code, created_at, occurred_at, hash): First = sqlx::query_as(
            "select e.id, w.code, e.created_at, e.occurred_at, e.request_hash
             from stock_events e join warehouses w on w.id = e.warehouse_id
             where e.idempotency_key = $1",
        )
        .bind(key)
        .fetch_one(&self.pool)
        .await?;
        if hash != request_hash(request) {
            let conflict = Refusal::new(StatusCode::CONFLICT, "stock-idempotency-conflict");
            return Ok(Posted::Refused(conflict));
        }
        let lines: Vec<(Uuid, Uuid, String, i64)> = sqlx::query_as(
            "select m.id, m.variant_id, v.sku, m.quantity
             from stock_movements m join variants v on v.id = m.variant_id
             where m.event_id = $1 order by m.line_number",
        )
        .bind(id)
        .fetch_all(&self.pool)
        .await?;
        let lines = lines
            .into_iter()
            .map(|(id, variant_id, variant_sku, quantity)| Line {
                id,
                variant_id,
                variant_sku,
                quantity,
            });
        Ok(Posted::Replayed(StockEvent {
            id,
            kind: request.kind,
            warehouse_id: request.warehouse_id,
            warehouse_code: code,
            occurred_at,
            reason_code: request.reason_code,
            notes: request.notes.clone(),
            created_by_id: CREATED_BY.0,
            created_by_username: CREATED_BY.1.to_owned(),
            created_at,
            lines: lines.collect(),
        }))
    }
}

/// Inserts the event; false when its key is taken.
async fn event_insert(
    transaction: &mut PgConnection,
    id: Uuid,
    key: Option<&str>,
    request: &CreateStockEvent,
    occurred_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query(
        "insert into stock_events (id, idempotency_key, kind, warehouse_id, occurred_at, reason_code, notes,
                                   created_by_id, created_at, request_hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (idempotency_key) do nothing",
    )
    .bind(id)
    .bind(key)
    .bind(request.kind.as_str())
    .bind(request.warehouse_id)
    .bind(occurred_at)
    .bind(request.reason_code.map(Reason::as_str))
    .bind(request.notes.as_deref())
    .bind(CREATED_BY.0)
    .bind(now)
    .bind(request_hash(request))
    .execute(transaction)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

fn request_hash(request: &CreateStockEvent) -> i64 {
    let text = serde_json::to_vec(request).expect("plain fields always serialise");
    xxhash_rust::xxh3::xxh3_64(&text).cast_signed()
}

/// Locks the stock rows in the order of their keys, so that no two transactions wait for each other.
async fn stock_lock(
    transaction: &mut PgConnection,
    request: &CreateStockEvent,
) -> sqlx::Result<Result<HashMap<Uuid, Locked>, Refusal>> {
    let variants: Vec<Uuid> = request.lines.iter().map(|line| line.variant_id).collect();
    let rows = stock_select(transaction, request.warehouse_id, &variants).await?;
    if rows.len() == variants.len() {
        return Ok(Ok(rows));
    }
    // Rarely: a variant's first movement at this warehouse, or something that does not exist.
    let has_warehouse: bool = sqlx::query_scalar("select exists (select from warehouses where id = $1)")
        .bind(request.warehouse_id)
        .fetch_one(&mut *transaction)
        .await?;
    if !has_warehouse {
        return Ok(Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "stock-warehouse-not-found",
        )));
    }
    sqlx::query(
        "insert into stock select $1, id, 0 from variants where id = any($2) order by id
         on conflict do nothing",
    )
    .bind(request.warehouse_id)
    .bind(&variants)
    .execute(&mut *transaction)
    .await?;
    let rows = stock_select(transaction, request.warehouse_id, &variants).await?;
    if rows.len() == variants.len() {
        return Ok(Ok(rows));
    }
    Ok(Err(Refusal::new(
        StatusCode::NOT_FOUND,
        "stock-variant-not-found",
    )))
}

async fn stock_select(
    transaction: &mut PgConnection,
    warehouse: Uuid,
    variants: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, Locked>> {
    let rows: Vec<Locked> = sqlx::query_as(
        "select s.variant_id, s.on_hand, v.sku, v.active and w.active as is_active, v.expires_at,
                w.code as warehouse_code
         from stock s
         join variants v on v.id = s.variant_id
         join warehouses w on w.id = s.warehouse_id
         where s.warehouse_id = $1 and s.variant_id = any($2)
         order by s.variant_id
         for update of s",
    )
    .bind(warehouse)
    .bind(variants)
    .fetch_all(transaction)
    .await?;
    Ok(rows.into_iter().map(|row| (row.variant_id, row)).collect())
}

fn refusal(request: &CreateStockEvent, rows: &HashMap<Uuid, Locked>, now: DateTime<Utc>) -> Option<Refusal> {
    let takes_expired = matches!(
        request.reason_code,
        Some(Reason::DiscardExpired | Reason::Damage | Reason::CountCorrection)
    );
    for line in &request.lines {
        let change = request.signed(line);
        let Some(row) = rows.get(&line.variant_id) else {
            continue;
        };
        if !row.is_active {
            return Some(Refusal::new(StatusCode::BAD_REQUEST, "stock-inactive"));
        }
        if change < 0 && !takes_expired && row.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Some(Refusal::new(StatusCode::BAD_REQUEST, "stock-variant-expired"));
        }
        if row.on_hand.checked_add(change).is_none_or(|after| after < 0) {
            return Some(Refusal::new(StatusCode::CONFLICT, "stock-insufficient"));
        }
    }
    None
}

async fn stock_update(transaction: &mut PgConnection, request: &CreateStockEvent) -> sqlx::Result<()> {
    let variants: Vec<Uuid> = request.lines.iter().map(|line| line.variant_id).collect();
    let changes: Vec<i64> = request.lines.iter().map(|line| request.signed(line)).collect();
    sqlx::query(
        "update stock s set on_hand = s.on_hand + l.change
         from unnest($2::uuid[], $3::bigint[]) l (variant_id, change)
         where s.warehouse_id = $1 and s.variant_id = l.variant_id",
    )
    .bind(request.warehouse_id)
    .bind(variants)
    .bind(changes)
    .execute(transaction)
    .await?;
    Ok(())
}

async fn movements_insert(
    transaction: &mut PgConnection,
    event_id: Uuid,
    request: &CreateStockEvent,
    rows: &HashMap<Uuid, Locked>,
    line_ids: &[Uuid],
    occurred_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let mut variants = Vec::with_capacity(request.lines.len());
    let mut changes = Vec::with_capacity(request.lines.len());
    let mut after = Vec::with_capacity(request.lines.len());
    for line in &request.lines {
        let change = request.signed(line);
        variants.push(line.variant_id);
        changes.push(change);
        after.push(rows.get(&line.variant_id).map_or(0, |row| row.on_hand) + change);
    }
    sqlx::query(
        "insert into stock_movements (event_id, line_number, id, warehouse_id, variant_id, quantity,
                                      on_hand_after, occurred_at)
         select $1, l.number, l.id, $2, l.variant_id, l.change, l.after, $3
         from unnest($4::uuid[], $5::uuid[], $6::bigint[], $7::bigint[])
              with ordinality l (id, variant_id, change, after, number)",
    )
    .bind(event_id)
    .bind(request.warehouse_id)
    .bind(occurred_at)
    .bind(line_ids)
    .bind(variants)
    .bind(changes)
    .bind(after)
    .execute(transaction)
    .await?;
    Ok(())
}

fn lines(request: &CreateStockEvent, rows: &HashMap<Uuid, Locked>, ids: &[Uuid]) -> Vec<Line> {
    let with_ids = request.lines.iter().zip(ids);
    with_ids
        .map(|(line, id)| Line {
            id: *id,
            variant_id: line.variant_id,
            variant_sku: rows
                .get(&line.variant_id)
                .map(|row| row.sku.clone())
                .unwrap_or_default(),
            quantity: request.signed(line),
        })
        .collect()
}
