//! Scenarios as text: commands in, events or a refusal out.
//!
//! A line is `SECOND WHAT …`; what came of it stands below, behind `>`. Stock: `5 OUTBOUND N A:3 order=O-1`, where N is
//! a warehouse's code and A a SKU; of one reservation, `5 PICK N order=O-1 reservation=#4`, by its event's position.
//! Catalogue: `0 warehouse N`, `0 variant A expires=9`, `1 change-variant A active=no`, `1 change-slot N A bin=none`, `1 change-lot A/L expires=9`,
//! `1 recall A/L`, `1 release A/L`.
//! A line names a lot as `A/L:3`, or `A/L@9:3` where it says that it expires at the second 9. Besides:
//! `5 extend N #4 order=O-1 expires=20`, `5 reverse #7` and `5 clear N #7`, by positions too, `5 expire 9` and `5 stock`.
//! `0 flood N A` puts there as many units as can be. Lines above a `---` only prepare: they must be accepted, and what comes of them is not told.

use std::collections::BTreeMap;

use bincard_ledger::command::CatalogueCommand as C;
use bincard_ledger::event::{PickOrder, SlotChange};
use bincard_ledger::state::Tracking;
use bincard_ledger::{
    Bucket, ClearCommand, CloseCommand, Command, Conditions, CountCommand, CountStep, Counting, Event,
    ExtendCommand, FoundLine, Kind, Line, LineLot, Mismatch, NegativeStock, Place, Position, ProductNo,
    Reason, RecallCommand, ReceiveCommand, ReceivedLine, Rejection, ReverseCommand, Shortage, State,
    StockCommand, StockEvent, Timestamp, VariantNo, Version, WarehouseNo,
};

use crate::journal::Journal;

/// 2025-06-15T15:06:40Z: the second 0 of every scenario.
const START: i64 = 1_750_000_000_000_000;

/// Plays `scenario` and compares what comes of each line with what it says. Answers the refusals.
#[track_caller]
pub(crate) fn check(scenario: &str) -> Vec<Rejection> {
    let lines: Vec<_> = scenario
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let mut journal = Journal::new();
    let (mut told, mut refusals, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for line in &lines {
        if *line == "---" {
            assert!(
                refusals.is_empty(),
                "what prepares must be accepted: {refusals:?}"
            );
            told.clear();
            expected.clear();
            continue;
        }
        expected.push(line.to_string());
        if line.starts_with('>') {
            continue;
        }
        told.push(line.to_string());
        play(&mut journal, line, &mut told, &mut refusals);
    }
    assert_eq!(
        told.join("\n"),
        expected.join("\n"),
        "\n\ntold:\n{}\n",
        told.join("\n")
    );
    refusals
}

fn play(journal: &mut Journal, line: &str, told: &mut Vec<String>, refusals: &mut Vec<Rejection>) {
    let asked = Asked::parse(line);
    if asked.what == "stock" {
        return told.extend(tell_stock(&journal.state, instant(asked.second)));
    }
    if asked.what == "flood" {
        let (warehouse, variant) = (
            warehouse(&journal.state, asked.words[0]),
            variant(&journal.state, asked.words[1]),
        );
        return journal.flood(warehouse, variant, i64::MAX, instant(asked.second));
    }
    let before = journal.bytes();
    let command = asked.command(journal);
    match journal.take(&command, instant(asked.second)) {
        Ok(decision) => told.extend(
            decision
                .iter()
                .map(|event| format!("> {}", tell(&journal.state, event))),
        ),
        Err(rejection) => {
            assert_eq!(journal.bytes(), before, "a rejection changes nothing");
            told.push(format!(
                "> refused {}: {rejection}{}",
                rejection.code(),
                details(&journal.state, &rejection)
            ));
            refusals.push(rejection);
        }
    }
}

fn lot(state: &State, word: &str) -> VariantNo {
    let (sku, code) = word.split_once('/').expect("a lot is SKU/CODE");
    let found = state.lot_by_code(variant(state, sku), code);
    found.unwrap_or(VariantNo(u32::MAX))
}

struct Asked<'t> {
    second: i64,
    what: &'t str,
    words: Vec<&'t str>,
    fields: BTreeMap<&'t str, &'t str>,
}

impl<'t> Asked<'t> {
    fn parse(line: &'t str) -> Asked<'t> {
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let second = words
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a line begins with its second");
        let what = words.next().expect("a line says what");
        let (fields, words) = words.partition::<Vec<_>, _>(|word| word.contains('='));
        let fields = fields.iter().filter_map(|field| field.split_once('=')).collect();
        Asked {
            second,
            what,
            words,
            fields,
        }
    }

    fn command(&self, journal: &Journal) -> Command {
        let state = &journal.state;
        match Kind::ALL.into_iter().find(|kind| name(*kind) == self.what) {
            Some(kind) => Command::Stock(self.stock(state, kind)),
            None if self.what == "extend" => Command::Extend(ExtendCommand {
                version: self.version(),
                warehouse: warehouse(state, self.words[0]),
                order: self.text("order").unwrap(),
                reservation: position(self.words[1]),
                expires_at: self.instant("expires"),
                notes: self.text("notes"),
            }),
            None if self.what == "reverse" => Command::Reverse(Box::new(self.reverse(journal))),
            None if self.what == "receive" => Command::Receive(self.receive(state)),
            None if self.what == "close" => Command::Close(CloseCommand {
                version: self.version(),
                transfer: position(self.words[0]),
                reason: self.reason().expect("a reason"),
                notes: self.text("notes"),
            }),
            None if self.what == "clear" => Command::Clear(ClearCommand {
                version: self.version(),
                warehouse: warehouse(state, self.words[0]),
                exception: position(self.words[1]),
                notes: self.text("notes"),
            }),
            None if ["count", "counted", "approve", "cancel"].contains(&self.what) => {
                Command::Count(Box::new(self.count(state)))
            }
            None if self.what == "recall" || self.what == "release" => Command::Recall(RecallCommand {
                lot: lot(state, self.words[0]),
                is_over: self.what == "release",
                notes: self.text("notes"),
            }),
            None if self.what == "expire" => Command::ExpireDue {
                reservations_max: self.words[0].parse().unwrap(),
            },
            None => match self.version() {
                None => Command::Catalogue(self.catalogue(state)),
                Some(version) => Command::CatalogueAt(version, self.catalogue(state)),
            },
        }
    }

    fn version(&self) -> Option<Version> {
        let version = self.fields.get("if-version");
        version.map(|text| Version(text.parse().unwrap()))
    }

    /// `count N of=A,B blind=yes` of these variants, or of all; `counted N #7 A:3 at=2`; `approve N #7` and `cancel N #7`.
    fn count(&self, state: &State) -> CountCommand {
        let count = || position(self.words[1]);
        let step = match self.what {
            "count" => CountStep::Open {
                is_blind: self.fields.get("blind").is_some_and(|text| *text == "yes"),
                variants: self
                    .fields
                    .get("of")
                    .map(|text| text.split(',').map(|sku| variant(state, sku)).collect()),
            },
            "counted" => CountStep::Submit {
                count: count(),
                lines: self.words[2..]
                    .iter()
                    .map(|word| self.found(state, word))
                    .collect(),
            },
            "approve" => CountStep::Approve { count: count() },
            _ => CountStep::Cancel { count: count() },
        };
        CountCommand {
            version: self.version(),
            warehouse: warehouse(state, self.words[0]),
            step,
            notes: self.text("notes"),
        }
    }

    fn found(&self, state: &State, word: &str) -> FoundLine {
        let (sku, counted) = word.split_once(':').expect("a line is SKU:quantity");
        FoundLine {
            variant: variant(state, sku),
            counted: counted.parse().unwrap(),
            at: self.instant("at"),
        }
    }

    fn reverse(&self, journal: &Journal) -> ReverseCommand {
        let position = position(self.words[0]);
        let recorded = journal.records.iter().find(|one| one.position == position);
        let recorded = recorded.expect("an event there");
        let Event::Stock(event) = &recorded.record.event else {
            panic!("the event at #{position} moves no stock");
        };
        ReverseCommand {
            version: self.version(),
            position,
            event: event.clone(),
            recorded_at: recorded.recorded_at,
            asked_as: "a story".into(),
            notes: self.text("notes"),
        }
    }

    /// `receive S #7 A:5:1:2`: of A 5 sound, 1 damaged, 2 missing.
    fn receive(&self, state: &State) -> ReceiveCommand {
        let line = |word: &&str| {
            let parts: Vec<_> = word.split(':').collect();
            let units = |at: usize| parts.get(at).map_or(0, |text: &&str| text.parse().unwrap());
            ReceivedLine {
                variant: variant(state, unnamed(parts[0])),
                received: units(1),
                damaged: units(2),
                short: units(3),
            }
        };
        ReceiveCommand {
            version: self.version(),
            lots: lots(&each_lot(&self.words[2..])),
            transfer: position(self.words[1]),
            warehouse: warehouse(state, self.words[0]),
            occurred_at: self.instant("at"),
            lines: self.words[2..].iter().map(line).collect(),
            notes: self.text("notes"),
        }
    }

    fn reason(&self) -> Option<Reason> {
        self.fields.get("reason").map(|text| {
            let named = |reason: &Reason| format!("{reason:?}") == *text;
            Reason::ALL.into_iter().find(named).expect("a reason")
        })
    }

    fn stock(&self, state: &State, kind: Kind) -> StockCommand {
        let at = warehouse(state, self.words[0]);
        let words = each_lot(&self.words[1..]);
        let lines = words.iter().flat_map(|word| {
            let (sku, quantity) = word.split_once(':').expect("a line is SKU:quantity");
            let sku = unnamed(sku);
            let quantity = quantity.parse().unwrap();
            // `*1001` stands for the numbers 1 to 1,001, whether or not there are such variants.
            let numbers = match sku.strip_prefix('*') {
                Some(count) => 1..=count.parse().unwrap(),
                None => variant(state, sku).0..=variant(state, sku).0,
            };
            numbers.map(move |no| Line {
                variant: VariantNo(no),
                quantity,
            })
        });
        StockCommand {
            occurred_at: self.instant("at"),
            reason: self.reason(),
            order: self.text("order"),
            transfer: self.text("transfer"),
            counterpart: self.fields.get("to").map(|code| warehouse(state, code)),
            expires_at: self.instant("expires"),
            release_from: self.fields.get("from").map(|text| {
                let named = |bucket: &Bucket| format!("{bucket:?}").to_lowercase() == *text;
                Bucket::ALL.into_iter().find(named).expect("a bucket")
            }),
            reservation: self.fields.get("reservation").map(|text| position(text)),
            is_partial: self.fields.get("partial").is_some_and(|text| *text == "yes"),
            conditions: self.conditions(state).map(Box::new),
            notes: self.text("notes"),
            lots: lots(&words),
            ..StockCommand::new(kind, at, lines)
        }
    }

    /// `if-version=7` and `if-available=A:3,B:0`.
    fn conditions(&self, state: &State) -> Option<Conditions> {
        let version = self.version();
        let available = self.fields.get("if-available");
        if version.is_none() && available.is_none() {
            return None;
        }
        let one = |word: &str| {
            let (sku, units) = word.split_once(':').expect("a condition is SKU:quantity");
            (variant(state, sku), units.parse().unwrap())
        };
        Some(Conditions {
            version,
            available: available.map_or(Vec::new(), |text| text.split(',').map(one).collect()),
        })
    }

    fn catalogue(&self, state: &State) -> C {
        let word = self.words.first().copied().unwrap_or_default();
        let name = self.text("name");
        let named = name.clone().unwrap_or_else(|| "Name".into());
        let active = self.fields.get("active").map(|text| *text == "yes");
        let negative_stock = self.fields.get("negative").map(|text| match *text {
            "record" => NegativeStock::Record,
            _ => NegativeStock::Forbid,
        });
        let product = |text: &str| ProductNo(text.parse().unwrap());
        match self.what {
            "warehouse" => C::CreateWarehouse {
                code: word.into(),
                name: named,
                negative_stock,
            },
            "change-warehouse" => C::ChangeWarehouse {
                no: warehouse(state, word),
                code: self.text("code"),
                name,
                active,
                negative_stock,
            },
            "product" => C::CreateProduct { name: word.into() },
            "change-product" => C::ChangeProduct {
                no: product(word),
                name,
                active,
            },
            "variant" => C::CreateVariant {
                tracks_lots: self.fields.get("lots").is_some_and(|text| *text == "yes"),
                sku: word.into(),
                name: named,
                product: self.fields.get("product").map(|text| product(text)),
                expires_at: self.instant("expires"),
            },
            "change-variant" => C::ChangeVariant {
                tracks_lots: self.fields.get("lots").map(|text| *text == "yes"),
                no: variant(state, word),
                sku: self.text("sku"),
                name,
                product: self
                    .fields
                    .get("product")
                    .map(|text| (*text != "none").then(|| product(text))),
                expires_at: self.fields.get("expires").map(|_| self.instant("expires")),
                active,
            },
            "change-slot" => C::ChangeSlot {
                warehouse: warehouse(state, word),
                variant: variant(state, self.words[1]),
                change: SlotChange {
                    bin: self
                        .taken("bin")
                        .map(|bin| bin.then(|| self.text("bin")).flatten()),
                    reorder_point: self.taken("reorder").map(|is| is.then(|| self.number("reorder"))),
                    max_level: self.taken("max").map(|is| is.then(|| self.number("max"))),
                    pick_order: self.taken("order").map(|is| {
                        is.then(|| PickOrder {
                            number: self.number("order"),
                            reason: self.text("why"),
                        })
                    }),
                },
            },
            "change-lot" => C::ChangeLot {
                no: lot(state, word),
                expires_at: self.fields.get("expires").map(|_| self.instant("expires")),
                active,
            },
            what => panic!("nobody can ask for {what}"),
        }
    }

    /// Whether a field has a value and not `none`, where it stands at all.
    fn taken(&self, field: &str) -> Option<bool> {
        self.fields.get(field).map(|text| *text != "none")
    }

    fn number(&self, field: &str) -> i64 {
        self.fields[field].parse().expect("a number")
    }

    /// `x*129` stands for 129 letters, `^` for a line break.
    fn text(&self, field: &str) -> Option<Box<str>> {
        let text = *self.fields.get(field)?;
        Some(match text.split_once('*') {
            Some((letter, count)) => letter.repeat(count.parse().unwrap()).into(),
            None => text.replace('^', "\n").into(),
        })
    }

    fn instant(&self, field: &str) -> Option<Timestamp> {
        match *self.fields.get(field)? {
            "none" => None,
            "10000-01-01" => Some(Timestamp::from_micros(253_402_300_800_000_000)),
            second => Some(instant(second.parse().unwrap())),
        }
    }
}

fn instant(second: i64) -> Timestamp {
    Timestamp::from_micros(START + second * 1_000_000)
}

/// `#7` is the event at position 7.
fn position(word: &str) -> Position {
    let number = word.strip_prefix('#').and_then(|text| text.parse().ok());
    Position(number.expect("a position is #7"))
}

fn warehouse(state: &State, code: &str) -> WarehouseNo {
    state.warehouse_by_code(code).unwrap_or(WarehouseNo(99))
}

/// The SKU of a word that may name a lot.
fn unnamed(word: &str) -> &str {
    word.split('/').next().unwrap_or_default()
}

/// `A/L*3:1` stands for one unit each of the lots L1 to L3.
fn each_lot(words: &[&str]) -> Vec<String> {
    let each = |word: &&str| {
        let many = word
            .split_once('*')
            .filter(|(sku, _)| sku.contains('/'))
            .and_then(|(lot, rest)| {
                let (count, units) = rest.split_once(':')?;
                let count: usize = count.parse().ok()?;
                Some(
                    (1..=count)
                        .map(|number| format!("{lot}{number}:{units}"))
                        .collect(),
                )
            });
        many.unwrap_or_else(|| vec![word.to_string()])
    };
    words.iter().flat_map(each).collect()
}

/// The lots that words name.
fn lots(words: &[String]) -> Vec<LineLot> {
    let named = words.iter().enumerate().filter_map(|(line, word)| {
        let (_, named) = word.split(':').next()?.split_once('/')?;
        let (code, expires_at) = match named.split_once('@') {
            Some((code, second)) => (code, Some(instant(second.parse().unwrap()))),
            None => (named, None),
        };
        let code = code.replace('^', "\n").into();
        Some(LineLot {
            line,
            code,
            expires_at,
        })
    });
    named.collect()
}

/// A variant by its SKU, or a lot as `A/L`.
fn variant(state: &State, sku: &str) -> VariantNo {
    if sku.contains('/') {
        return lot(state, sku);
    }
    state.variant_by_sku(sku).unwrap_or(VariantNo(99))
}

fn sku(state: &State, no: VariantNo) -> String {
    match state.variant(no) {
        None => "?".into(),
        Some(lot) if matches!(lot.tracking, Tracking::LotOf(_)) => {
            format!("{}/{}", sku(state, state.variant_of(no)), lot.sku)
        }
        Some(variant) => variant.sku.to_string(),
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Inbound => "INBOUND",
        Kind::Outbound => "OUTBOUND",
        Kind::Adjust => "ADJUST",
        Kind::Reservation => "RESERVATION",
        Kind::Release => "RELEASE",
        Kind::Pick => "PICK",
        Kind::Pack => "PACK",
        Kind::Ship => "SHIP",
        Kind::TransferOut => "TRANSFER_OUT",
        Kind::TransferIn => "TRANSFER_IN",
        Kind::Hold => "HOLD",
        Kind::Unhold => "UNHOLD",
        Kind::Expiry => "EXPIRY",
        Kind::Extend => "EXTEND",
        Kind::Reversal => "REVERSAL",
        Kind::TransferExpected => "TRANSFER_EXPECTED",
        Kind::TransferClosed => "TRANSFER_CLOSED",
        Kind::ExceptionCleared => "EXCEPTION_CLEARED",
        Kind::CountOpened => "COUNT_OPENED",
        Kind::Counted => "COUNTED",
        Kind::CountApproved => "COUNT_APPROVED",
        Kind::CountCancelled => "COUNT_CANCELLED",
    }
}

fn tell(state: &State, event: &Event) -> String {
    match event {
        Event::Stock(event) => tell_event(state, event),
        Event::Catalogue(event) => format!("{event:?}"),
    }
}

fn tell_event(state: &State, event: &StockEvent) -> String {
    let place = |place| match place {
        Place::Bucket(bucket) => format!("{bucket:?}").to_lowercase(),
        Place::Account(account) => format!("{account:?}").to_lowercase(),
    };
    let code = state
        .warehouse(event.warehouse)
        .map_or("?", |warehouse| &*warehouse.code);
    let second = |at: Timestamp| (at.micros() - START) / 1_000_000;
    let mut told = format!("{} {code} at {}", name(event.kind), second(event.occurred_at));
    if let Some(position) = event.about {
        told += &format!(", about #{position}");
    }
    if let Some(other) = event.counterpart {
        let code = state.warehouse(other).map_or("?", |warehouse| &*warehouse.code);
        let way = if event.kind == Kind::TransferOut {
            "to"
        } else {
            "from"
        };
        told += &format!(", {way} {code}");
    }
    if event.kind == Kind::Extend {
        let until = event.expires_at.map(|at| format!("until {}", second(at)));
        told += &format!(", {}", until.as_deref().unwrap_or("for good"));
    }
    match event.count.as_deref() {
        None => {}
        Some(Counting::Opened { variants, .. }) => {
            let all = variants.iter().flatten().map(|no| sku(state, *no));
            let all = all.collect::<Vec<_>>().join(" ");
            told += &format!(", of {}", if variants.is_some() { &all } else { "everything" });
        }
        Some(Counting::Lines(lines)) => {
            for line in lines {
                let (sku, at) = (sku(state, line.variant), second(line.at));
                told += &format!(", {sku} {} of {} at {at}", line.counted, line.expected);
            }
        }
        Some(Counting::Undone { at, .. }) => told += &format!(", undoes what was at {}", second(*at)),
        Some(Counting::Seen(_)) => {}
    }
    for variant in event.seen() {
        told += &format!(", {} was seen", sku(state, *variant));
    }
    for posting in &event.postings {
        let (sku, from, to) = (
            sku(state, posting.variant),
            place(posting.from),
            place(posting.to),
        );
        told += &format!(", {} {sku} {from} -> {to}", posting.quantity);
        if let Some(position) = posting.reservation {
            told += &format!(" (of #{position})");
        }
    }
    for (variant, units) in &event.noted {
        told += &format!(", noted {units} {}", sku(state, *variant));
    }
    told
}

/// What a refusal says beyond its message.
fn details(state: &State, rejection: &Rejection) -> String {
    let short = |s: &Shortage| format!(", {} of {} {}", s.available, s.requested, sku(state, s.variant));
    let other = |m: &Mismatch| {
        format!(
            ", {} of {} and not {}",
            m.available,
            sku(state, m.variant),
            m.expected
        )
    };
    match rejection {
        Rejection::Insufficient { shortages } => shortages.iter().map(short).collect(),
        Rejection::OverReceipt { transfer, shortages } => {
            let all: String = shortages.iter().map(short).collect();
            format!(", #{transfer}{all}")
        }
        Rejection::TransferTaken { by: transfer } | Rejection::TransferOver { transfer } => {
            format!(", #{transfer}")
        }
        Rejection::WrongWarehouse {
            transfer,
            destination,
        } => {
            let code = state
                .warehouse(*destination)
                .map_or("?", |warehouse| &*warehouse.code);
            format!(", #{transfer} goes to {code}")
        }
        Rejection::LotExpiryMismatch { lot, expires_at, .. } => {
            let second = expires_at.map(|at| (at.micros() - START) / 1_000_000);
            format!(", {} at {second:?}", sku(state, *lot))
        }
        Rejection::AvailableMismatch { lines } => lines.iter().map(other).collect(),
        Rejection::VersionMismatch { expected, present } => format!(", {present} and not {expected}"),
        Rejection::CountOver { count } | Rejection::NothingCounted { count } => format!(", #{count}"),
        Rejection::CountOverlaps { by } => format!(", #{by}"),
        Rejection::ExceptionCleared { exception } => format!(", #{exception}"),
        Rejection::ReservationOver { reservation } | Rejection::NothingHeld { reservation, .. } => {
            format!(", #{reservation}")
        }
        Rejection::ReservationExpired {
            reservation,
            expired_at,
        } => format!(
            ", #{reservation} at {}",
            (expired_at.micros() - START) / 1_000_000
        ),
        _ => String::new(),
    }
}

/// `stock` tells what lies where: available (as of now), reserved, picked, packed, held.
fn tell_stock(state: &State, now: Timestamp) -> Vec<String> {
    let mut stock: Vec<_> = state
        .stock()
        .filter(|(_, _, buckets)| !buckets.is_empty())
        .collect();
    stock.sort_by_key(|(warehouse, variant, _)| (*warehouse, *variant));
    let tell = |(warehouse, variant, buckets): (WarehouseNo, VariantNo, bincard_ledger::Buckets)| {
        let code = &state.warehouse(warehouse).expect("it has stock").code;
        let available = state.available_at(warehouse, variant, now);
        let [reserved, picked, packed, held] =
            [Bucket::Reserved, Bucket::Picked, Bucket::Packed, Bucket::Held].map(|bucket| buckets.of(bucket));
        let reserved = reserved - (available - buckets.available());
        format!(
            "> {code} {}: {available} {reserved} {picked} {packed} {held}",
            sku(state, variant)
        )
    };
    let mut told: Vec<_> = stock.into_iter().map(tell).collect();
    let mut transits: Vec<_> = state.transits().collect();
    transits.sort();
    told.extend(
        transits
            .iter()
            .map(|(id, variant, units)| format!("> under {id} {}: {units}", sku(state, *variant))),
    );
    told.extend(state.transfers().flat_map(|(id, transfer)| {
        let on_the_way = transfer.lines.iter();
        on_the_way.map(move |line| format!("> under #{id} {}: {}", sku(state, line.variant), line.units))
    }));
    told
}
