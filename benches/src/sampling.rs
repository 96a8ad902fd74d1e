//! What is asked for: which SKUs, how often, and the requests' bytes. The same seed gives the same requests
//! to every contender.

use bincard_testkit::load::Draft;
use uuid::Uuid;

/// A small fast source of numbers that look random (SplitMix64). Not for secrets.
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The same seed throws the same numbers.
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice { state: seed }
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A whole number below `end`, which must not be 0. (The bias is below `end` in 2^64.)
    pub fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.bits()) * u128::from(end);
        u64::try_from(wide >> 64).expect("the upper half of 128 bits fits into 64")
    }

    /// A number from 0 up to but not 1.
    pub fn share(&mut self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "53 bits are what a float holds exactly"
        )]
        let share = (self.bits() >> 11) as f64 / (1u64 << 53) as f64;
        share
    }

    /// A UUID, version 4 in form.
    pub fn uuid(&mut self) -> Uuid {
        let wide = (u128::from(self.bits()) << 64) | u128::from(self.bits());
        uuid::Builder::from_random_bytes(wide.to_be_bytes()).into_uuid()
    }
}

/// How demand spreads over SKUs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Skew {
    /// Every SKU as often as any other.
    Even,
    /// The SKU of rank `r` as often as `r` to the power of minus this: 1.0 is a usual shop, at 2.0 one SKU
    /// takes six of ten requests.
    Zipf(f64),
}

impl std::fmt::Display for Skew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Skew::Even => f.write_str("even"),
            Skew::Zipf(exponent) => write!(f, "Zipf {exponent:.1}"),
        }
    }
}

/// Draws ranks by a skew, exactly and at the same cost however many there are (Walker's alias method).
#[derive(Debug, Clone)]
pub struct RankSampler {
    /// By slot: how likely the slot's own rank is taken, and the rank that is taken otherwise.
    slots: Vec<(f64, usize)>,
}

impl RankSampler {
    /// A sampler of the ranks `0..count`. `count` must not be 0.
    #[must_use]
    pub fn new(count: usize, skew: Skew) -> RankSampler {
        assert!(count > 0, "nothing to draw from");
        #[expect(clippy::cast_precision_loss, reason = "counts of SKUs stay far below 2^53")]
        let weights: Vec<f64> = match skew {
            Skew::Even => vec![1.0; count],
            Skew::Zipf(exponent) => (1..=count).map(|rank| (rank as f64).powf(-exponent)).collect(),
        };
        RankSampler {
            slots: alias_slots(&weights),
        }
    }

    /// Draws a rank; 0 is the most wanted.
    pub fn draw(&self, dice: &mut Dice) -> usize {
        let slot = usize::try_from(dice.below(self.slots.len() as u64)).unwrap_or(0);
        match self.slots.get(slot) {
            Some((own, other)) if dice.share() >= *own => *other,
            _ => slot,
        }
    }
}

/// Every slot holds one share of the whole: a part of it its own rank's, the rest filled up by a rank that
/// has more than a share.
fn alias_slots(weights: &[f64]) -> Vec<(f64, usize)> {
    let total: f64 = weights.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "counts of SKUs stay far below 2^53")]
    let mut left: Vec<f64> = weights
        .iter()
        .map(|weight| weight * weights.len() as f64 / total)
        .collect();
    let mut slots: Vec<(f64, usize)> = (0..weights.len()).map(|rank| (1.0, rank)).collect();
    let (mut poor, mut rich): (Vec<usize>, Vec<usize>) = (0..left.len()).partition(|rank| left[*rank] < 1.0);
    while let (Some(needy), Some(giver)) = (poor.pop(), rich.pop()) {
        slots[needy] = (left[needy], giver);
        left[giver] -= 1.0 - left[needy];
        if left[giver] < 1.0 {
            poor.push(giver)
        } else {
            rich.push(giver)
        }
    }
    slots
}

/// What the requests are about.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The warehouse of every request.
    pub warehouse: Uuid,
    /// The variants by rank, the most wanted first.
    pub variants: Vec<Uuid>,
}

impl Catalogue {
    /// A warehouse and so many variants with made-up ids, always the same.
    #[must_use]
    pub fn made_up(variants: usize) -> Catalogue {
        let mut dice = Dice::new(0x0b1d_ca2d);
        let warehouse = dice.uuid();
        Catalogue {
            warehouse,
            variants: (0..variants).map(|_| dice.uuid()).collect(),
        }
    }
}

/// What one request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Movement {
    /// Whether stock goes out; otherwise it comes in.
    pub is_outbound: bool,
    /// The variant's rank in the catalogue.
    pub rank: usize,
    /// Units, from 1 to 5.
    pub quantity: i64,
}

/// An endless stream of movements, half of them outbound.
#[derive(Debug, Clone)]
pub struct Movements {
    sampler: RankSampler,
    dice: Dice,
}

impl Movements {
    /// A stream over the variants of a catalogue. Give every task or connection a seed of its own.
    #[must_use]
    pub fn new(sampler: &RankSampler, seed: u64) -> Movements {
        Movements {
            sampler: sampler.clone(),
            dice: Dice::new(seed),
        }
    }

    /// The next movement.
    pub fn draw(&mut self) -> Movement {
        let rank = self.sampler.draw(&mut self.dice);
        let bits = self.dice.bits();
        Movement {
            is_outbound: bits & 1 == 0,
            rank,
            quantity: i64::from((bits >> 32) as u32 % 5) + 1,
        }
    }
}

/// Writes movements as requests of the stock events API, as cheaply as it can.
#[derive(Debug, Clone)]
pub struct RequestWriter {
    movements: Movements,
    keys: String,
    inbound: Vec<u8>,
    outbound: Vec<u8>,
    variants: Vec<[u8; 36]>,
    units: i64,
}

impl RequestWriter {
    /// A writer of requests whose idempotency keys begin with `keys` and are never the same twice.
    #[must_use]
    pub fn new(catalogue: &Catalogue, skew: Skew, keys: &str) -> RequestWriter {
        let sampler = RankSampler::new(catalogue.variants.len(), skew);
        let before_variant = |kind: &str, reason: &str, notes: &str| {
            format!(
                r#"{{"type":"{kind}","warehouseId":"{}","occurredAt":"2025-02-10T08:00:00Z","reasonCode":"{reason}","notes":"{notes}","lines":[{{"variantId":""#,
                catalogue.warehouse
            )
            .into_bytes()
        };
        let variants = catalogue.variants.iter().map(|variant| {
            let mut text = [0; 36];
            variant.hyphenated().encode_lower(&mut text);
            text
        });
        RequestWriter {
            movements: Movements::new(&sampler, xxhash_rust::xxh3::xxh3_64(keys.as_bytes())),
            keys: keys.to_owned(),
            inbound: before_variant("INBOUND", "PURCHASE", "Supplier restock"),
            outbound: before_variant("OUTBOUND", "SALE", "Web shop order"),
            variants: variants.collect(),
            units: 0,
        }
    }

    /// What all requests written so far change on hand together.
    #[must_use]
    pub fn units(&self) -> i64 {
        self.units
    }

    /// Fills in request number `request`: its key and its body.
    pub fn fill(&mut self, request: u64, draft: &mut Draft) {
        draft.headers.extend_from_slice(b"idempotency-key: ");
        draft.headers.extend_from_slice(self.keys.as_bytes());
        draft.headers.push(b'-');
        push_number(&mut draft.headers, request);
        draft.headers.extend_from_slice(b"\r\n");
        self.write_body(&mut draft.body);
    }

    /// Writes the next request as a line of a bulk request, with an idempotency key that is never the same twice where
    /// it has a number.
    pub fn write_line(&mut self, request: Option<u64>, body: &mut Vec<u8>) {
        self.write_body(body);
        if let Some(request) = request {
            body.pop();
            body.extend_from_slice(b",\"idempotencyKey\":\"");
            body.extend_from_slice(self.keys.as_bytes());
            body.push(b'-');
            push_number(body, request);
            body.extend_from_slice(b"\"}");
        }
        body.push(b'\n');
    }

    /// Writes the body of the next request.
    pub fn write_body(&mut self, body: &mut Vec<u8>) {
        let movement = self.movements.draw();
        self.units += if movement.is_outbound {
            -movement.quantity
        } else {
            movement.quantity
        };
        body.extend_from_slice(if movement.is_outbound {
            &self.outbound
        } else {
            &self.inbound
        });
        body.extend_from_slice(&self.variants[movement.rank]);
        body.extend_from_slice(b"\",\"quantity\":");
        push_number(body, movement.quantity.unsigned_abs());
        body.extend_from_slice(b"}]}");
    }
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut left = number;
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(left % 10).expect("a digit is below ten");
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::CreateStockEvent;

    /// The probability of every rank, read off the slots: it must be the skew's own, not just near it.
    fn probabilities(sampler: &RankSampler) -> Vec<f64> {
        let share = 1.0 / sampler.slots.len() as f64;
        let mut probabilities = vec![0.0; sampler.slots.len()];
        for (slot, (own, other)) in sampler.slots.iter().enumerate() {
            probabilities[slot] += own * share;
            probabilities[*other] += (1.0 - own) * share;
        }
        probabilities
    }

    #[test]
    fn every_rank_is_as_likely_as_its_skew_says() {
        for skew in [Skew::Even, Skew::Zipf(1.0), Skew::Zipf(2.0)] {
            let weight = |rank: usize| match skew {
                Skew::Even => 1.0,
                Skew::Zipf(exponent) => (rank as f64 + 1.0).powf(-exponent),
            };
            let total: f64 = (0..10_000).map(weight).sum();
            let found = probabilities(&RankSampler::new(10_000, skew));
            for (rank, probability) in found.iter().enumerate() {
                let expected = weight(rank) / total;
                assert!(
                    (probability - expected).abs() < 1e-12,
                    "{skew}: rank {rank}: {probability}"
                );
            }
        }
    }

    #[test]
    fn draws_come_as_often_as_they_are_likely() {
        let sampler = RankSampler::new(100, Skew::Zipf(1.0));
        let mut dice = Dice::new(7);
        let mut counts = vec![0u32; 100];
        for _ in 0..200_000 {
            counts[sampler.draw(&mut dice)] += 1;
        }
        // The most wanted of a hundred takes 1 in 5.187; five standard deviations are 900 draws.
        let expected = 200_000.0 / (1..=100).map(|rank| 1.0 / f64::from(rank)).sum::<f64>();
        assert!(
            (f64::from(counts[0]) - expected).abs() < 900.0,
            "{} draws of rank 0",
            counts[0]
        );
        assert!(counts.iter().all(|count| *count > 0));
    }

    #[test]
    fn a_line_is_a_request_with_its_key_and_the_units_add_up() {
        let catalogue = Catalogue::made_up(3);
        let mut writer = RequestWriter::new(&catalogue, Skew::Even, "run");
        let mut body = Vec::new();
        writer.write_line(Some(17), &mut body);
        writer.write_line(None, &mut body);
        let text = String::from_utf8(body).unwrap();
        let mut lines = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let (mut keyed, plain) = (lines.next().unwrap(), lines.next().unwrap());
        assert_eq!(lines.next(), None);
        let key = keyed.as_object_mut().unwrap().remove("idempotencyKey");
        assert_eq!(key, Some("run-17".into()));
        let parsed = [keyed, plain].map(|line| serde_json::from_value::<CreateStockEvent>(line).unwrap());
        let units = parsed.iter().map(|request| request.signed(&request.lines[0]));
        assert_eq!(units.sum::<i64>(), writer.units());
    }

    #[test]
    fn a_request_is_one_that_the_api_takes_and_its_key_is_its_own() {
        let catalogue = Catalogue::made_up(3);
        let mut writer = RequestWriter::new(&catalogue, Skew::Even, "run");
        for request in [0, 9, 1_234_567] {
            let mut draft = Draft::default();
            writer.fill(request, &mut draft);
            let parsed: CreateStockEvent = serde_json::from_slice(&draft.body).unwrap();
            assert_eq!(parsed.warehouse_id, catalogue.warehouse);
            assert!(catalogue.variants.contains(&parsed.lines[0].variant_id));
            assert!(parsed.validate().is_ok());
            assert_eq!(
                draft.headers,
                format!("idempotency-key: run-{request}\r\n").into_bytes()
            );
        }
    }
}
