//! After the race: everything that was answered is held against the log, and the log against the views.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Course;
use super::client::Client;
use super::counted::Counted;
use super::recalled::Recalled;
use super::tally::{Moves, Tally};

/// Where units can be at a warehouse.
const BUCKETS: [&str; 5] = ["available", "reserved", "picked", "packed", "held"];
/// Where else they can be; all but `transit` is outside.
const ELSEWHERE: [&str; 4] = ["transit", "supplier", "customer", "adjustment"];

/// What is left, at both warehouses and between them.
#[derive(Default)]
pub(super) struct Left {
    pub(super) on_hand: i64,
    pub(super) in_transit: i64,
}

/// The log's events of the race, followed one by one.
#[derive(Default)]
struct Followed {
    /// Units by warehouse, variant and bucket.
    stock: BTreeMap<(usize, usize, &'static str), i64>,
    /// Units on the way, by variant.
    transit: BTreeMap<usize, i64>,
    versions: BTreeMap<usize, u64>,
    /// What the last TRANSFER_OUT moved: its key stands in the event after it.
    dispatched: Option<(usize, Moves)>,
    /// Keys that were seen.
    keys: BTreeSet<String>,
    counted: Counted,
    recalled: Recalled,
}

/// Every unit is accounted for: each answer is in the log once, or is not there where it was a refusal; no bucket ever
/// falls below zero; and the views agree with what that leaves.
pub(super) async fn audit(client: &Client, course: &Course, tally: &Tally) -> Result<Left> {
    let mut followed = Followed::default();
    let mut after = course.begins_after;
    loop {
        let events = client.events(after).await?;
        for event in &events {
            after = event["position"].as_u64().context("an event without position")?;
            let mut warehouses = course.warehouses.iter();
            let at = warehouses.position(|id| event["warehouseId"] == id.as_str());
            let next = match at {
                Some(at) => followed.follow(event, at, course, tally),
                None => followed.recalled.follow_elsewhere(event, course, tally),
            };
            next.and_then(|()| followed.check_recalls(after, tally))
                .with_context(|| format!("at the event {event}"))?;
        }
        if events.is_empty() {
            break;
        }
    }
    let lost = tally.recorded().keys().find(|key| !followed.keys.contains(*key));
    ensure!(
        lost.is_none(),
        "{lost:?} was answered as recorded and is not in the log"
    );
    followed.recalled.finish()?;
    check_sums(course, tally, &followed)?;
    check_views(client, course, &followed).await
}

impl Followed {
    fn follow(&mut self, event: &Value, warehouse: usize, course: &Course, tally: &Tally) -> Result<()> {
        let version = self.versions.entry(warehouse).or_default();
        *version += 1;
        ensure!(
            event["version"] == *version,
            "the warehouse's version should be {version}"
        );
        let moves = self.move_units(event, warehouse, course)?;
        self.check_count(event, warehouse, &moves, course)?;
        self.check_expiry(event, warehouse, &moves, course, tally)?;
        let available = |lot| {
            let units = self.stock.get(&(warehouse, lot, "available"));
            units.copied().unwrap_or_default()
        };
        let moved = (&moves, available);
        if self.recalled.follow(event, warehouse, moved, course, tally)? {
            if let Some(key) = event["idempotencyKey"].as_str() {
                ensure!(self.keys.insert(key.to_owned()), "it is there twice");
            }
            return Ok(());
        }
        let (warehouse, moves) = match event["type"].as_str() {
            Some("TRANSFER_OUT") => {
                self.dispatched = Some((warehouse, moves));
                return Ok(());
            }
            Some("TRANSFER_EXPECTED") => self.dispatched.take().context("nothing was dispatched before")?,
            _ => (warehouse, moves),
        };
        // The log knows a reversal by what it undoes, whatever its caller's key.
        let named = if event["type"] == "REVERSAL" {
            "id"
        } else {
            "idempotencyKey"
        };
        let key = event[named]
            .as_str()
            .context("an event that no client asked for")?;
        ensure!(!tally.is_refused(key), "it was refused");
        let answered = tally.recorded().get(key).context("no client was answered so")?;
        ensure!(self.keys.insert(key.to_owned()), "it is there twice");
        // The answer of an approval tells what changed, and not from which buckets.
        let is_right = if event["type"] == "COUNT_APPROVED" {
            change_on_hand(&answered.moves) == change_on_hand(&moves)
        } else {
            answered.moves == moves
        };
        ensure!(
            answered.warehouse == warehouse && is_right,
            "{:?} was to be moved at {}",
            answered.moves,
            course.warehouses[answered.warehouse]
        );
        Ok(())
    }

    /// Recalls that were answered at a position were so there.
    fn check_recalls(&self, position: u64, tally: &Tally) -> Result<()> {
        for recall in tally.recalled_at(position) {
            let available = [0, 1].map(|warehouse| self.units(warehouse, recall.lot, "available"));
            self.recalled.check(recall, available.iter().sum())?;
        }
        Ok(())
    }

    /// Counts expect what was there, and post the rest.
    fn check_count(&mut self, event: &Value, warehouse: usize, moves: &Moves, course: &Course) -> Result<()> {
        let is_of_it = |moved: &(usize, &str, &str)| moved.0 == course.counted();
        let is_count = matches!(event["type"].as_str(), Some("COUNTED" | "COUNT_APPROVED"));
        if is_count || moves.keys().any(is_of_it) {
            let change = change_on_hand(moves).get(&course.counted()).copied();
            self.counted
                .follow(event, warehouse, change.unwrap_or_default())?;
        }
        Ok(())
    }

    /// What named no lot left by expiry: nothing that expires sooner is still there, but of what is out of use.
    fn check_expiry(
        &self,
        event: &Value,
        warehouse: usize,
        moves: &Moves,
        course: &Course,
        tally: &Tally,
    ) -> Result<()> {
        let key = event["idempotencyKey"].as_str().unwrap_or_default();
        if !tally.is_by_expiry(key) {
            return Ok(());
        }
        let last = moves.keys().map(|(lot, _, _)| *lot).max();
        let sooner = course
            .lots()
            .filter(|lot| Some(*lot) < last && !self.recalled.has(*lot));
        ensure!(
            !moves.keys().any(|(lot, _, _)| self.recalled.has(*lot)),
            "some of a recalled lot was chosen"
        );
        for lot in sooner {
            let left = self.units(warehouse, lot, "available");
            ensure!(left == 0, "{left} are left of a lot that expires sooner");
        }
        Ok(())
    }

    /// Follows an event's postings.
    fn move_units(&mut self, event: &Value, warehouse: usize, course: &Course) -> Result<Moves> {
        let mut moves = Moves::new();
        for posting in event["postings"].as_array().context("no postings")? {
            let variant = course.variant(&posting["variantId"])?;
            let units = posting["quantity"]
                .as_i64()
                .context("a posting without quantity")?;
            let (from, to) = (place(&posting["from"])?, place(&posting["to"])?);
            *moves.entry((variant, from, to)).or_default() += units;
            for (at, change) in [(from, -units), (to, units)] {
                let left = match at {
                    "transit" => self.transit.entry(variant).or_default(),
                    _ if BUCKETS.contains(&at) => self.stock.entry((warehouse, variant, at)).or_default(),
                    _ => continue,
                };
                *left += change;
                ensure!(*left >= 0, "oversold: {at} falls to {left}");
            }
        }
        Ok(moves)
    }
}

/// By how much moves change what is on hand, by variant.
fn change_on_hand(moves: &Moves) -> BTreeMap<usize, i64> {
    let mut changes = BTreeMap::new();
    for ((variant, from, to), units) in moves {
        let inside = |place: &str| i64::from(BUCKETS.contains(&place));
        *changes.entry(*variant).or_default() += units * (inside(to) - inside(from));
    }
    changes.retain(|_, change| *change != 0);
    changes
}

fn place(word: &Value) -> Result<&'static str> {
    let mut places = BUCKETS.into_iter().chain(ELSEWHERE);
    places
        .find(|place| word == place)
        .with_context(|| format!("a place that nobody knows: {word}"))
}

/// What came in by the answers, less what went out, is at the warehouses and on the way.
fn check_sums(course: &Course, tally: &Tally, followed: &Followed) -> Result<()> {
    for (variant, id) in course.variants.iter().enumerate() {
        let moves = tally.recorded().values().flat_map(|recorded| &recorded.moves);
        let is_outside = |place| place != "transit" && ELSEWHERE.contains(&place);
        let expected: i64 = moves
            .filter(|((of, _, _), _)| *of == variant)
            .map(|((_, from, to), units)| units * (i64::from(is_outside(*from)) - i64::from(is_outside(*to))))
            .sum();
        let at_warehouses = followed.stock.iter().filter(|((_, of, _), _)| *of == variant);
        let found: i64 = at_warehouses.map(|(_, units)| units).sum::<i64>() + followed.in_transit(variant);
        ensure!(
            found == expected,
            "{found} units of variant {id} are left, {expected} were to be"
        );
    }
    Ok(())
}

impl Followed {
    fn units(&self, warehouse: usize, variant: usize, bucket: &'static str) -> i64 {
        self.stock
            .get(&(warehouse, variant, bucket))
            .copied()
            .unwrap_or_default()
    }

    fn in_transit(&self, variant: usize) -> i64 {
        self.transit.get(&variant).copied().unwrap_or_default()
    }
}

/// The stock and the transfers that the server answers are what the log leaves.
async fn check_views(client: &Client, course: &Course, followed: &Followed) -> Result<Left> {
    let mut left = Left::default();
    for (variant, id) in course.variants.iter().enumerate() {
        for (warehouse, warehouse_id) in course.warehouses.iter().enumerate() {
            let of_it = if course.lots().contains(&variant) {
                format!("{}&lots=true", course.in_lots)
            } else {
                id.clone()
            };
            let path = format!("/api/v1/stock?warehouseId={warehouse_id}&variantId={of_it}");
            let page = client.read(&path, client.position()).await?.body;
            let rows = page["content"].as_array().context("a page without content")?;
            let is_it = |row: &&Value| course.variant_of(row).ok() == Some(variant);
            let row = rows.iter().find(is_it).unwrap_or(&Value::Null);
            let mut on_hand = 0;
            for bucket in BUCKETS {
                let expected = followed.units(warehouse, variant, bucket);
                check_figure(row, bucket, expected, id)?;
                on_hand += expected;
            }
            check_figure(row, "onHand", on_hand, id)?;
            left.on_hand += on_hand;
        }
        left.in_transit += followed.in_transit(variant);
    }
    for (warehouse, warehouse_id) in course.warehouses.iter().enumerate() {
        let path = format!(
            "/api/v1/stock?warehouseId={warehouse_id}&variantId={}",
            course.in_lots
        );
        let page = client.read(&path, client.position()).await?.body;
        for bucket in BUCKETS {
            let lots = course.lots().map(|lot| followed.units(warehouse, lot, bucket));
            check_figure(&page["content"][0], bucket, lots.sum(), &course.in_lots)?;
        }
    }
    let mut on_the_way: BTreeMap<usize, i64> = BTreeMap::new();
    for warehouse in &course.warehouses {
        let first = format!("/api/v1/transfers?fromWarehouseId={warehouse}&state=OPEN&size=500");
        let mut path = first.clone();
        loop {
            let page = client.read(&path, client.position()).await?.body;
            for transfer in page["content"].as_array().context("a page without content")? {
                for line in transfer["lines"].as_array().context("a transfer without lines")? {
                    let units = line["inTransit"].as_i64().context("a line without inTransit")?;
                    *on_the_way.entry(course.variant_of(line)?).or_default() += units;
                }
            }
            match page["nextCursor"].as_str() {
                Some(cursor) => path = format!("{first}&cursor={cursor}"),
                None => break,
            }
        }
    }
    for (variant, id) in course.variants.iter().enumerate() {
        let (found, expected) = (
            on_the_way.get(&variant).copied().unwrap_or_default(),
            followed.in_transit(variant),
        );
        ensure!(
            found == expected,
            "{found} of variant {id} are on open transfers; the log leaves {expected}"
        );
    }
    Ok(left)
}

/// A variant that nothing ever happened to at a warehouse has no row.
fn check_figure(row: &Value, field: &str, expected: i64, variant: &str) -> Result<()> {
    let found = if row.is_null() {
        0
    } else {
        row[field]
            .as_i64()
            .with_context(|| format!("no {field} in {row}"))?
    };
    ensure!(
        found == expected,
        "{field} of variant {variant} is {found}; the log leaves {expected}"
    );
    Ok(())
}
