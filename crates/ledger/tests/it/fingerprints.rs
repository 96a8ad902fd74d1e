//! Fingerprints of requests and hashes of keys: stored beside keys for ever, so their values are fixed.

use std::collections::BTreeMap;

use bincard_ledger::command::{CatalogueCommand as C, KeySpace};
use bincard_ledger::{
    Bucket, ClearCommand, CloseCommand, Command, Conditions, CountCommand, CountStep, Event, ExtendCommand,
    IdempotencyKey, Kind, LedgerId, Line, Position, ProductNo, Reason, ReceiveCommand, Request,
    ReverseCommand, StockCommand, Timestamp, VariantNo, Version, WarehouseNo,
};
use uuid::Uuid;

use crate::golden;

const GOLDEN: &str = include_str!("../golden/v1/fingerprints.txt");
const GOLDEN_2: &str = include_str!("../golden/v1/fingerprints-2.txt");
const GOLDEN_VERSIONED: &str = include_str!("../golden/v1/fingerprints-versioned.txt");
const GOLDEN_VERSIONED_2: &str = include_str!("../golden/v1/fingerprints-versioned-2.txt");

#[test]
fn fingerprints_are_what_they_always_were() {
    for (commands, golden) in [
        (commands(), GOLDEN),
        (later_commands(), GOLDEN_2),
        (versioned_commands(), GOLDEN_VERSIONED),
        (later_versioned_commands(), GOLDEN_VERSIONED_2),
    ] {
        let now: String = commands
            .into_iter()
            .map(|(name, command)| format!("{name} {:016x}\n", request(command).fingerprint()))
            .collect();
        assert_eq!(now, golden, "\n{now}");
    }
}

#[test]
fn no_two_of_them_are_alike() {
    let mut names = BTreeMap::new();
    for (name, command) in commands()
        .into_iter()
        .chain(later_commands())
        .chain(versioned_commands())
        .chain(later_versioned_commands())
    {
        let twin = names.insert(request(command).fingerprint(), name);
        assert_eq!(twin, None, "{name} has the same fingerprint");
    }
}

#[test]
fn who_asks_and_under_which_key_does_not_matter_but_in_whose_name_does() {
    let (_, command) = commands().remove(0);
    let plain = request(command);
    let mut other = plain.clone();
    other.author = Uuid::from_u128(9);
    other.key = IdempotencyKey::parse(KeySpace::Server, "k").ok();
    assert_eq!(other.fingerprint(), plain.fingerprint());
    other.on_behalf_of = Some(Uuid::nil());
    assert_ne!(other.fingerprint(), plain.fingerprint());
}

#[test]
fn a_keys_hash_is_what_it_always_was_and_depends_on_ledger_and_space() {
    let hash = |space, text, ledger| IdempotencyKey::parse(space, text).unwrap().hash(LedgerId(ledger));
    let (one, two) = (*b"0123456789abcdef", *b"fedcba9876543210");
    let hashes = [
        hash(KeySpace::Caller, "order-4711", one),
        hash(KeySpace::Server, "order-4711", one),
        hash(KeySpace::Caller, "order-4711", two),
        hash(KeySpace::Caller, &"k".repeat(255), one),
    ];
    assert_eq!(
        hashes,
        [
            0x130f_7f73_5e7e_c843,
            0x2841_730f_52d8_fbe9,
            0xe309_7c9c_ced7_d731,
            0x2756_e5e2_1a6c_4906
        ]
    );
}

#[test]
fn a_key_is_1_to_255_visible_ascii_characters() {
    for text in ["!", "~", &"k".repeat(255)] {
        assert!(IdempotencyKey::parse(KeySpace::Caller, text).is_ok(), "{text:?}");
    }
    for text in ["", " ", "a b", "a\n", "\u{7f}", "é", &"k".repeat(256)] {
        assert!(IdempotencyKey::parse(KeySpace::Caller, text).is_err(), "{text:?}");
    }
}

fn request(command: Command) -> Request {
    Request {
        command,
        author: Uuid::nil(),
        on_behalf_of: None,
        key: None,
    }
}

/// In whose name a command is asked for stands behind it as a one and 16 bytes. Did a reservation begin with a one too, and
/// conditions with a three, these two would be the same bytes.
#[test]
fn in_whose_name_does_not_pass_for_what_a_command_says_beyond() {
    let plain = StockCommand::new(Kind::Pick, WarehouseNo(1), []);
    let mut named = request(Command::Stock(plain.clone()));
    let reservation = [0x80, 0x80, 0x80, 0x80, 1];
    let conditions = [3, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0];
    let id = [&reservation[..], &conditions, &[0]].concat();
    named.on_behalf_of = Some(Uuid::from_slice(&id).unwrap());
    let conditions = Conditions {
        version: Some(Version(1 << 42)),
        available: Vec::new(),
    };
    let conditional = request(Command::Stock(StockCommand {
        reservation: Some(Position(1 << 28)),
        conditions: Some(Box::new(conditions)),
        ..plain
    }));
    assert_ne!(named.fingerprint(), conditional.fingerprint());
}

/// What can be asked for since: each differs from the first of its sort in one thing.
fn later_commands() -> Vec<(&'static str, Command)> {
    let base = || StockCommand::new(Kind::Release, WarehouseNo(1), []);
    let conditions = |version: Option<u64>, available: &[(u32, i64)]| {
        let version = version.map(Version);
        let available = available.iter().map(|(no, units)| (VariantNo(*no), *units));
        let available = available.collect();
        Command::Stock(StockCommand {
            conditions: Some(Box::new(Conditions { version, available })),
            ..base()
        })
    };
    let extend = |change: fn(&mut ExtendCommand)| {
        let mut command = ExtendCommand {
            version: None,
            warehouse: WarehouseNo(1),
            order: "a".into(),
            reservation: Position(5),
            expires_at: None,
            notes: None,
        };
        change(&mut command);
        Command::Extend(command)
    };
    let reverse = |change: fn(&mut ReverseCommand)| {
        let event = golden::records()
            .into_iter()
            .find_map(|record| match record.event {
                Event::Stock(event) => Some(event),
                Event::Catalogue(_) => None,
            });
        let mut command = ReverseCommand {
            version: None,
            position: Position(18),
            event: event.unwrap(),
            recorded_at: golden::RECORDED_AT,
            asked_as: "a".into(),
            notes: None,
        };
        change(&mut command);
        Command::Reverse(Box::new(command))
    };
    vec![
        (
            "stock-reservation",
            Command::Stock(StockCommand {
                reservation: Some(Position(1)),
                ..base()
            }),
        ),
        (
            "stock-reservation-another",
            Command::Stock(StockCommand {
                reservation: Some(Position(300)),
                ..base()
            }),
        ),
        (
            "stock-partial",
            Command::Stock(StockCommand {
                is_partial: true,
                ..base()
            }),
        ),
        ("stock-conditions", conditions(None, &[])),
        ("stock-conditions-version", conditions(Some(0), &[])),
        ("stock-conditions-version-another", conditions(Some(1), &[])),
        ("stock-conditions-available", conditions(None, &[(1, 5)])),
        ("stock-conditions-available-units", conditions(None, &[(1, -5)])),
        ("stock-conditions-available-variant", conditions(None, &[(2, 5)])),
        (
            "stock-conditions-available-two",
            conditions(None, &[(1, 5), (2, 5)]),
        ),
        (
            "stock-conditions-available-order",
            conditions(None, &[(2, 5), (1, 5)]),
        ),
        ("extend", extend(|_| ())),
        ("extend-warehouse", extend(|c| c.warehouse = WarehouseNo(2))),
        ("extend-order", extend(|c| c.order = "b".into())),
        ("extend-reservation", extend(|c| c.reservation = Position(6))),
        (
            "extend-expires-at",
            extend(|c| c.expires_at = Some(Timestamp::from_micros(0))),
        ),
        ("extend-notes", extend(|c| c.notes = Some("x".into()))),
        ("reverse", reverse(|_| ())),
        ("reverse-position", reverse(|c| c.position = Position(19))),
        ("reverse-asked-as", reverse(|c| c.asked_as = "b".into())),
        ("reverse-notes", reverse(|c| c.notes = Some("x".into()))),
    ]
}

/// Those of [`later_commands`] that could not name a version at first, now that they do.
fn versioned_commands() -> Vec<(&'static str, Command)> {
    let named = [
        ("extend", 0, "extend-version"),
        ("extend", 1, "extend-version-another"),
        ("reverse", 0, "reverse-version"),
        ("reverse", 1, "reverse-version-another"),
    ];
    let mut commands = Vec::new();
    for (of, version, name) in named {
        let plain = later_commands().into_iter().find(|(name, _)| *name == of);
        let mut command = plain.expect("it is there").1;
        match &mut command {
            Command::Extend(command) => command.version = Some(Version(version)),
            Command::Reverse(command) => command.version = Some(Version(version)),
            _ => panic!("{of} has no version of its own"),
        }
        commands.push((name, command));
    }
    commands
}

/// What took no version from the first day, without one and with each of two.
fn later_versioned_commands() -> Vec<(&'static str, Command)> {
    let version = |version: Option<u64>| version.map(Version);
    let (transfer, warehouse, notes) = (Position(7), WarehouseNo(1), None);
    let receive = |of| {
        Command::Receive(ReceiveCommand {
            transfer,
            warehouse,
            occurred_at: None,
            lines: Vec::new(),
            lots: Vec::new(),
            version: version(of),
            notes: notes.clone(),
        })
    };
    let close = |of| {
        Command::Close(CloseCommand {
            transfer,
            reason: Reason::Other,
            version: version(of),
            notes: notes.clone(),
        })
    };
    let clear = |of| {
        Command::Clear(ClearCommand {
            warehouse,
            exception: transfer,
            version: version(of),
            notes: notes.clone(),
        })
    };
    let count = |of| {
        Command::Count(Box::new(CountCommand {
            warehouse,
            step: CountStep::Approve { count: transfer },
            version: version(of),
            notes: notes.clone(),
        }))
    };
    vec![
        ("receive", receive(None)),
        ("receive-version", receive(Some(0))),
        ("receive-version-another", receive(Some(1))),
        ("close", close(None)),
        ("close-version", close(Some(0))),
        ("close-version-another", close(Some(1))),
        ("clear", clear(None)),
        ("clear-version", clear(Some(0))),
        ("clear-version-another", clear(Some(1))),
        ("count-approve", count(None)),
        ("count-approve-version", count(Some(0))),
        ("count-approve-version-another", count(Some(1))),
    ]
}

/// Each differs from the first of its sort in one thing.
fn commands() -> Vec<(&'static str, Command)> {
    let line = |variant, quantity| Line {
        variant: VariantNo(variant),
        quantity,
    };
    let base = || StockCommand::new(Kind::Release, WarehouseNo(1), [line(1, 5)]);
    let at = Some(Timestamp::from_micros(0));
    let text = || Some(Box::<str>::from("x"));
    let stock = [
        ("stock", base()),
        (
            "stock-kind",
            StockCommand {
                kind: Kind::Pick,
                ..base()
            },
        ),
        (
            "stock-warehouse",
            StockCommand {
                warehouse: WarehouseNo(2),
                ..base()
            },
        ),
        (
            "stock-occurred-at",
            StockCommand {
                occurred_at: at,
                ..base()
            },
        ),
        (
            "stock-reason",
            StockCommand {
                reason: Some(Reason::Other),
                ..base()
            },
        ),
        (
            "stock-order",
            StockCommand {
                order: text(),
                ..base()
            },
        ),
        (
            "stock-transfer",
            StockCommand {
                transfer: text(),
                ..base()
            },
        ),
        (
            "stock-expires-at",
            StockCommand {
                expires_at: at,
                ..base()
            },
        ),
        (
            "stock-release-from",
            StockCommand {
                release_from: Some(Bucket::Reserved),
                ..base()
            },
        ),
        (
            "stock-release-from-picked",
            StockCommand {
                release_from: Some(Bucket::Picked),
                ..base()
            },
        ),
        (
            "stock-notes",
            StockCommand {
                notes: text(),
                ..base()
            },
        ),
        (
            "stock-notes-empty",
            StockCommand {
                notes: Some("".into()),
                ..base()
            },
        ),
        (
            "stock-variant",
            StockCommand {
                lines: [line(2, 5)].into_iter().collect(),
                ..base()
            },
        ),
        (
            "stock-quantity",
            StockCommand {
                lines: [line(1, -5)].into_iter().collect(),
                ..base()
            },
        ),
        (
            "stock-lines",
            StockCommand {
                lines: [line(1, 5), line(2, 5)].into_iter().collect(),
                ..base()
            },
        ),
        (
            "stock-lines-order",
            StockCommand {
                lines: [line(2, 5), line(1, 5)].into_iter().collect(),
                ..base()
            },
        ),
    ];
    let (a, b) = (|| Box::<str>::from("a"), || Box::<str>::from("b"));
    let variant = |sku, name, product, expires_at, active| C::ChangeVariant {
        tracks_lots: None,
        no: VariantNo(1),
        sku,
        name,
        product,
        expires_at,
        active,
    };
    let catalogue = [
        (
            "create-warehouse",
            C::CreateWarehouse {
                code: a(),
                name: b(),
                negative_stock: None,
            },
        ),
        (
            "create-warehouse-swapped",
            C::CreateWarehouse {
                code: b(),
                name: a(),
                negative_stock: None,
            },
        ),
        (
            "change-warehouse",
            C::ChangeWarehouse {
                no: WarehouseNo(1),
                code: None,
                name: None,
                active: None,
                negative_stock: None,
            },
        ),
        (
            "change-warehouse-code",
            C::ChangeWarehouse {
                no: WarehouseNo(1),
                code: Some(a()),
                name: None,
                active: None,
                negative_stock: None,
            },
        ),
        (
            "change-warehouse-name",
            C::ChangeWarehouse {
                no: WarehouseNo(1),
                code: None,
                name: Some(a()),
                active: None,
                negative_stock: None,
            },
        ),
        (
            "change-warehouse-on",
            C::ChangeWarehouse {
                no: WarehouseNo(1),
                code: None,
                name: None,
                active: Some(true),
                negative_stock: None,
            },
        ),
        (
            "change-warehouse-off",
            C::ChangeWarehouse {
                no: WarehouseNo(1),
                code: None,
                name: None,
                active: Some(false),
                negative_stock: None,
            },
        ),
        ("create-product", C::CreateProduct { name: a() }),
        (
            "change-product",
            C::ChangeProduct {
                no: ProductNo(1),
                name: None,
                active: None,
            },
        ),
        (
            "change-product-name",
            C::ChangeProduct {
                no: ProductNo(1),
                name: Some(a()),
                active: None,
            },
        ),
        (
            "create-variant",
            C::CreateVariant {
                tracks_lots: false,
                sku: a(),
                name: b(),
                product: None,
                expires_at: None,
            },
        ),
        (
            "create-variant-product",
            C::CreateVariant {
                tracks_lots: false,
                sku: a(),
                name: b(),
                product: Some(ProductNo(1)),
                expires_at: None,
            },
        ),
        (
            "create-variant-expires",
            C::CreateVariant {
                tracks_lots: false,
                sku: a(),
                name: b(),
                product: None,
                expires_at: at,
            },
        ),
        ("change-variant", variant(None, None, None, None, None)),
        ("change-variant-sku", variant(Some(a()), None, None, None, None)),
        ("change-variant-name", variant(None, Some(a()), None, None, None)),
        (
            "change-variant-product-away",
            variant(None, None, Some(None), None, None),
        ),
        (
            "change-variant-product",
            variant(None, None, Some(Some(ProductNo(1))), None, None),
        ),
        (
            "change-variant-expiry-away",
            variant(None, None, None, Some(None), None),
        ),
        ("change-variant-expiry", variant(None, None, None, Some(at), None)),
        ("change-variant-off", variant(None, None, None, None, Some(false))),
    ];
    let stock = stock
        .into_iter()
        .map(|(name, command)| (name, Command::Stock(command)));
    let catalogue = catalogue
        .into_iter()
        .map(|(name, command)| (name, Command::Catalogue(command)));
    let expire = [(
        "expire-due",
        Command::ExpireDue {
            reservations_max: 100,
        },
    )];
    stock.chain(catalogue).chain(expire).collect()
}
