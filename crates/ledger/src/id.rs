//! Names of things: dense numbers inside a ledger, UUIDs outside it.
//!
//! Inside, a warehouse, product or variant is the number it got when it was created, so that state is indexed and
//! records are short. Outside, each is a UUID (version 8) that *carries* its number: [`PublicIds`] turns one into
//! the other by arithmetic, without a table. Such an id belongs to one ledger: another ledger's ids do not resolve.

use uuid::Uuid;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $inner);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The number of a warehouse in its ledger: 1, 2, 3… in order of creation.
    WarehouseNo(u32)
);
number!(
    /// The number of a variant in its ledger: 1, 2, 3… in order of creation.
    VariantNo(u32)
);
number!(
    /// The number of a product in its ledger: 1, 2, 3… in order of creation. It is also its public id.
    ProductNo(u32)
);
number!(
    /// The place of an event in the whole log: 1, 2, 3… without gaps. 0 stands for "before the first event".
    Position(u64)
);
number!(
    /// The place of an event in its stream: 1, 2, 3… without gaps.
    Version(u64)
);

impl Position {
    /// The largest position there may be: the ids of an event's lines have to carry it.
    pub const MAX: Position = Position((1 << 50) - 1);

    /// The position after this one.
    pub const fn next(self) -> Position {
        Position(self.0.saturating_add(1))
    }
}

impl Version {
    /// The version after this one.
    pub const fn next(self) -> Version {
        Version(self.0.saturating_add(1))
    }
}

/// What an event belongs to: the catalogue or one warehouse. Each has versions of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stream {
    /// Products, variants and warehouses: their creation and changes.
    Catalogue,
    /// The stock of one warehouse.
    Warehouse(WarehouseNo),
}

impl Stream {
    /// 0 for the catalogue, the warehouse's number otherwise.
    pub const fn code(self) -> u32 {
        match self {
            Stream::Catalogue => 0,
            Stream::Warehouse(no) => no.0,
        }
    }

    /// The stream that [`Stream::code`] gave `code` for.
    pub const fn from_code(code: u32) -> Stream {
        match code {
            0 => Stream::Catalogue,
            no => Stream::Warehouse(WarehouseNo(no)),
        }
    }
}

/// The identity of a ledger: 16 random bytes drawn when it is created.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LedgerId(pub [u8; 16]);

impl LedgerId {
    /// The seed for hashes of idempotency keys in this ledger.
    pub const fn seed(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// What kind of thing a public id names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdKind {
    /// A recorded event; the number is its position.
    Event = 1,
    /// One of the first 1,024 lines of an event; the number is [`PublicIds::line`]'s.
    Line = 2,
    /// One of the next 1,024.
    LineFrom1024 = 5,
    /// One of those after them.
    LineFrom2048 = 6,
    /// One of the last that an event may have.
    LineFrom3072 = 7,
    /// A warehouse.
    Warehouse = 3,
    /// A variant.
    Variant = 4,
    /// A transfer between warehouses; the number is the position of the event that opened it.
    Transfer = 8,
}

/// Turns numbers of one ledger into public UUIDs and back, without a table.
///
/// Layout: 4 bits of kind and 60 of number are mixed by a bijection keyed by the ledger; 58 more bits check them, so
/// that a guessed or foreign UUID does not resolve. This is an encoding and not a secret: authorisation never
/// depends on an id being hard to guess.
#[derive(Clone, Copy, Debug)]
pub struct PublicIds {
    key: u64,
    check_key: u64,
}

/// An odd multiplier (the golden ratio's) and its inverse modulo 2⁶⁴.
const MUL: u64 = 0x9E37_79B9_7F4A_7C15;
const MUL_INVERSE: u64 = inverse_mod_2_64(MUL);
const NUMBER_BITS: u32 = 60;
const CHECK_MASK: u64 = (1 << 58) - 1;
/// Lines of one kind are numbered below this within their event.
const LINES_PER_KIND: u16 = 1024;

/// Newton's iteration: each step doubles the correct low bits, from 3 to 96 in five.
const fn inverse_mod_2_64(odd: u64) -> u64 {
    const fn step(odd: u64, x: u64) -> u64 {
        x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x)))
    }
    step(odd, step(odd, step(odd, step(odd, step(odd, odd)))))
}

const fn mix(x: u64, key: u64) -> u64 {
    let x = (x ^ key).wrapping_mul(MUL);
    let x = (x ^ (x >> 32)).wrapping_mul(MUL);
    x ^ (x >> 32)
}

const fn unmix(x: u64, key: u64) -> u64 {
    let x = (x ^ (x >> 32)).wrapping_mul(MUL_INVERSE);
    (x ^ (x >> 32)).wrapping_mul(MUL_INVERSE) ^ key
}

impl PublicIds {
    /// The ids of one ledger.
    pub const fn new(ledger: LedgerId) -> PublicIds {
        let [.., a, b, c, d, e, f, g, h] = ledger.0;
        PublicIds {
            key: ledger.seed(),
            check_key: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        }
    }

    /// The public id of an event.
    pub fn event(self, position: Position) -> Uuid {
        self.encode(IdKind::Event, position.0)
    }

    /// The public id of line `index` (from 0, below 4,096) of the event at `position`. An event is asked for with fewer than
    /// 1,024 lines; what it moves has twice as many where a receipt tells sound units from damaged ones, and again where a
    /// count had seen it.
    pub fn line(self, position: Position, index: u16) -> Uuid {
        let kind = match index / LINES_PER_KIND {
            0 => IdKind::Line,
            1 => IdKind::LineFrom1024,
            2 => IdKind::LineFrom2048,
            _ => IdKind::LineFrom3072,
        };
        let lines = u64::from(LINES_PER_KIND);
        let number = position.0.wrapping_mul(lines) | u64::from(index % LINES_PER_KIND);
        self.encode(kind, number)
    }

    /// The public id of a warehouse.
    pub fn warehouse(self, no: WarehouseNo) -> Uuid {
        self.encode(IdKind::Warehouse, u64::from(no.0))
    }

    /// The public id of a variant.
    pub fn variant(self, no: VariantNo) -> Uuid {
        self.encode(IdKind::Variant, u64::from(no.0))
    }

    /// The public id of the transfer that the event at `opened` opened.
    pub fn transfer(self, opened: Position) -> Uuid {
        self.encode(IdKind::Transfer, opened.0)
    }

    /// The position that a transfer's id carries; whether the event there opened one is for the log to say.
    pub fn resolve_transfer(self, id: Uuid) -> Option<Position> {
        self.decode(IdKind::Transfer, id).map(Position)
    }

    /// The position that an event's id carries; `None` when the id is not one of this ledger's events. Whether the
    /// event exists is for the log to say.
    pub fn resolve_event(self, id: Uuid) -> Option<Position> {
        self.decode(IdKind::Event, id).map(Position)
    }

    /// The number that a warehouse's id carries; whether the warehouse exists is for the state to say.
    pub fn resolve_warehouse(self, id: Uuid) -> Option<WarehouseNo> {
        self.decode(IdKind::Warehouse, id)
            .and_then(|n| u32::try_from(n).ok())
            .map(WarehouseNo)
    }

    /// The number that a variant's id carries; whether the variant exists is for the state to say.
    pub fn resolve_variant(self, id: Uuid) -> Option<VariantNo> {
        self.decode(IdKind::Variant, id)
            .and_then(|n| u32::try_from(n).ok())
            .map(VariantNo)
    }

    fn encode(self, kind: IdKind, number: u64) -> Uuid {
        let block = mix((kind as u64) << NUMBER_BITS | number, self.key);
        let check = mix(block, self.check_key) & CHECK_MASK;
        let high = (block >> 16) << 16 | 0x8000 | ((block >> 4) & 0xFFF);
        let low = 0b10 << 62 | (block & 0xF) << 58 | check;
        Uuid::from_u64_pair(high, low)
    }

    fn decode(self, kind: IdKind, id: Uuid) -> Option<u64> {
        let (high, low) = id.as_u64_pair();
        let block = (high >> 16) << 16 | (high & 0xFFF) << 4 | (low >> 58) & 0xF;
        let number = unmix(block, self.key) & ((1 << NUMBER_BITS) - 1);
        (self.encode(kind, number) == id).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_carries_its_number_and_its_kind(ledger: [u8; 16], number in 0u64..1 << 50, no: u32) {
            let ids = PublicIds::new(LedgerId(ledger));
            let id = ids.event(Position(number));
            prop_assert_eq!(ids.resolve_event(id), Some(Position(number)));
            prop_assert_eq!(ids.resolve_variant(id), None);
            prop_assert_eq!(ids.resolve_transfer(id), None);
            prop_assert_eq!(ids.resolve_transfer(ids.transfer(Position(number))), Some(Position(number)));
            prop_assert_eq!(id.get_version_num(), 8);
            prop_assert_eq!(ids.resolve_variant(ids.variant(VariantNo(no))), Some(VariantNo(no)));
            prop_assert_eq!(ids.resolve_warehouse(ids.warehouse(WarehouseNo(no))), Some(WarehouseNo(no)));
        }

        #[test]
        fn no_two_lines_have_one_id(a in (0u64..1 << 50, 0u16..4096), b in (0u64..1 << 50, 0u16..4096)) {
            prop_assume!(a != b);
            let ids = PublicIds::new(LedgerId([7; 16]));
            let id = |(position, index): (u64, u16)| ids.line(Position(position), index);
            prop_assert_ne!(id(a), id(b));
            prop_assert_ne!(id(a), id((a.0, a.1 ^ 1024)));
            prop_assert_ne!(id(a), id((a.0, a.1 ^ 2048)));
        }

        #[test]
        fn a_foreign_or_guessed_id_does_not_resolve(a: [u8; 16], b: [u8; 16], guess: u128, no: u32) {
            prop_assume!(a != b);
            let (ids, other) = (PublicIds::new(LedgerId(a)), PublicIds::new(LedgerId(b)));
            prop_assert_eq!(ids.resolve_variant(other.variant(VariantNo(no))), None);
            prop_assert_eq!(ids.resolve_event(Uuid::from_u128(guess)), None);
        }
    }
}
