//! RFC 3339 in and out, to the microsecond and in UTC. Written by hand because every stock event carries two
//! or three of them.

use bincard_ledger::Timestamp;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_468;
/// Days of 400 years, after which the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;

/// Reads an instant: a date of the years 0001 to 9999, `T`, a time, and `Z` or an hour and minute from UTC. Digits of
/// the second after the sixth are dropped. `None` when it is anything else, a leap second included.
pub(crate) fn parse(text: &[u8]) -> Option<Timestamp> {
    let (head, rest) = text.split_at_checked(19)?;
    let marks = [head[4], head[7], head[13], head[16]];
    if marks != *b"--::" || !matches!(head[10], b'T' | b't') {
        return None;
    }
    let year = i64::from(two(head, 0)?) * 100 + i64::from(two(head, 2)?);
    let (month, day) = (two(head, 5)?, two(head, 8)?);
    let (hour, minute, second) = (two(head, 11)?, two(head, 14)?, two(head, 17)?);
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, zone) = fraction(rest)?;
    let of_day = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second) - zone_seconds(zone)?;
    let seconds = days_from_date(year, month, day) * SECONDS_PER_DAY + of_day;
    Some(Timestamp::from_micros(seconds * MICROS_PER_SECOND + micros))
}

/// Writes an instant: whole seconds without a fraction, all else with six digits. Outside the years 0 to 9999, which
/// no log holds, the nearest that can be written.
pub(crate) fn write(out: &mut Vec<u8>, at: Timestamp) {
    const FIRST: i64 = -62_167_219_200 * MICROS_PER_SECOND;
    const LAST: i64 = 253_402_300_800 * MICROS_PER_SECOND - 1;
    let at = at.micros().clamp(FIRST, LAST);
    let (seconds, micros) = (at.div_euclid(MICROS_PER_SECOND), at.rem_euclid(MICROS_PER_SECOND));
    let (days, of_day) = (
        seconds.div_euclid(SECONDS_PER_DAY),
        seconds.rem_euclid(SECONDS_PER_DAY) as u32,
    );
    let (year, month, day) = date_from_days(days);
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    put_two(&mut text, 0, year / 100);
    put_two(&mut text, 2, year % 100);
    put_two(&mut text, 5, month);
    put_two(&mut text, 8, day);
    put_two(&mut text, 11, of_day / 3600);
    put_two(&mut text, 14, of_day / 60 % 60);
    put_two(&mut text, 17, of_day % 60);
    if micros == 0 {
        text[19] = b'Z';
        out.extend_from_slice(&text[..20]);
    } else {
        let micros = micros as u32;
        put_two(&mut text, 20, micros / 10_000);
        put_two(&mut text, 22, micros / 100 % 100);
        put_two(&mut text, 24, micros % 100);
        out.extend_from_slice(&text);
    }
}

/// The two digits at `at`.
fn two(text: &[u8], at: usize) -> Option<u32> {
    let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

fn put_two(text: &mut [u8], at: usize, value: u32) {
    text[at] = b'0' + (value / 10) as u8;
    text[at + 1] = b'0' + (value % 10) as u8;
}

/// Microseconds of a fraction, if there is one, and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 || count > 9 {
        return None;
    }
    let mut micros = 0;
    for place in 0..6 {
        let digit = digits[..count].get(place).map_or(0, |digit| digit - b'0');
        micros = micros * 10 + i64::from(digit);
    }
    Some((micros, &digits[count..]))
}

/// How many seconds the zone is ahead of UTC.
fn zone_seconds(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two(zone, 1)?, two(zone, 4)?);
            let ahead = (i64::from(hours) * 60 + i64::from(minutes)) * 60;
            (hours < 24 && minutes < 60).then_some(if *sign == b'+' { ahead } else { -ahead })
        }
        _ => None,
    }
}

fn days_of_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01. The year is taken to begin in March, so that the leap day is its last.
fn days_from_date(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    year.div_euclid(400) * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_TO_EPOCH
}

/// Year, month and day of a day since 1970-01-01 that lies in the years 0 to 9999.
fn date_from_days(days: i64) -> (u32, u32, u32) {
    let days = days + DAYS_TO_EPOCH;
    let of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = days.div_euclid(DAYS_PER_ERA) * 400 + year_of_era + i64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, FixedOffset, TimeZone, Utc};
    use proptest::prelude::*;

    fn text(at: Timestamp) -> String {
        let mut out = Vec::new();
        write(&mut out, at);
        String::from_utf8(out).unwrap()
    }

    const YEAR_1: i64 = -62_135_596_800_000_000;
    const YEAR_9999_END: i64 = 253_402_300_799_999_999;

    proptest! {
        #[test]
        fn what_is_written_is_what_chrono_writes_and_reads_back(micros in YEAR_1..=YEAR_9999_END, whole: bool) {
            let micros = if whole { micros - micros.rem_euclid(MICROS_PER_SECOND) } else { micros };
            let written = text(Timestamp::from_micros(micros));
            let theirs = Utc.timestamp_micros(micros).unwrap();
            prop_assert_eq!(DateTime::parse_from_rfc3339(&written).unwrap(), theirs);
            prop_assert_eq!(parse(written.as_bytes()), Some(Timestamp::from_micros(micros)));
        }

        #[test]
        fn zones_are_read_as_chrono_reads_them(micros in -10_000_000_000_000_000i64..10_000_000_000_000_000, minutes in -1439i32..=1439) {
            let zone = FixedOffset::east_opt(minutes * 60).unwrap();
            let theirs = zone.timestamp_micros(micros).unwrap().to_rfc3339();
            prop_assert_eq!(parse(theirs.as_bytes()), Some(Timestamp::from_micros(micros)));
        }

        #[test]
        fn what_is_taken_is_what_chrono_takes(
            text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9][Tt][0-2][0-9]:[0-6][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])"
        ) {
            prop_assume!(!text.starts_with("0000"));
            let theirs = DateTime::parse_from_rfc3339(&text).ok().map(|at| at.timestamp_micros());
            prop_assert_eq!(parse(text.as_bytes()).map(Timestamp::micros), theirs);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "\\PC{0,40}") {
            let _ = (parse(&bytes), parse(text.as_bytes()));
        }

        #[test]
        fn every_instant_can_be_written(micros: i64) {
            prop_assert!(text(Timestamp::from_micros(micros)).len() <= 27);
        }
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        for wrong in [
            "",
            "2025-02-10",
            "2025-02-10T08:00:00",
            "2025-02-10 08:00:00Z",
            "2025-02-30T08:00:00Z",
            "2025-02-10T24:00:00Z",
            "2025-02-10T23:59:60Z",
            "2025-02-10T08:00:00.Z",
            "2025-02-10T08:00:00+0100",
            "2025-02-10T08:00:00Zz",
            "1900-02-29T00:00:00Z",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(
            parse(b"1970-01-01T00:00:00.0000019Z"),
            Some(Timestamp::from_micros(1))
        );
        assert_eq!(
            parse(b"2000-02-29T00:00:00Z"),
            Some(Timestamp::from_micros(951_782_400_000_000))
        );
    }
}
