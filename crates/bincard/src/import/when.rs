//! When a row happened: text in a format and a time zone, to an instant.

use chrono::{DateTime, Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

use bincard_ledger::Timestamp;

use super::columns::Column;
use super::row::{Row, RowError};

/// How times are written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum TimeFormat {
    /// With their distance from UTC: `2011-09-26T17:20:00+01:00`.
    Rfc3339,
    /// Seconds since 1970.
    Unix,
    /// Milliseconds since 1970.
    UnixMillis,
    /// By a pattern such as `%d/%m/%Y %H:%M`, as the zone's clocks show it.
    Pattern(String),
}

impl TimeFormat {
    pub(crate) fn named(text: &str) -> TimeFormat {
        match text {
            "rfc3339" => TimeFormat::Rfc3339,
            "unix" => TimeFormat::Unix,
            "unix-ms" => TimeFormat::UnixMillis,
            pattern => TimeFormat::Pattern(pattern.to_owned()),
        }
    }

    fn name(&self) -> &str {
        match self {
            TimeFormat::Rfc3339 => "rfc3339",
            TimeFormat::Unix => "unix",
            TimeFormat::UnixMillis => "unix-ms",
            TimeFormat::Pattern(pattern) => pattern,
        }
    }
}

/// An instant, and the month in which the zone's clocks saw it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Moment {
    /// The instant.
    pub(crate) at: Timestamp,
    /// Year and month: `201109`.
    pub(crate) month: i32,
}

/// Reads times of one file. Remembers the last one: rows of one reference share theirs.
#[derive(Debug)]
pub(crate) struct Clock {
    format: TimeFormat,
    zone: Tz,
    last: Option<(String, Moment)>,
}

enum Unreadable {
    Format,
    Skipped,
}

impl Clock {
    pub(crate) fn new(format: TimeFormat, zone: Tz) -> Clock {
        Clock {
            format,
            zone,
            last: None,
        }
    }

    /// When `row` happened, by its field of `column`.
    pub(crate) fn read(&mut self, row: &Row<'_>, column: Column) -> Result<Moment, RowError> {
        let text = row.text(column);
        let named = || row.columns.name_of(column).to_owned();
        self.parse(text).map_err(|error| match error {
            Unreadable::Format => RowError::Time {
                column: named(),
                text: text.to_owned(),
                format: self.format.name().to_owned(),
            },
            Unreadable::Skipped => RowError::SkippedTime {
                column: named(),
                text: text.to_owned(),
                zone: self.zone.name().to_owned(),
            },
        })
    }

    /// The instant that the mapping itself gives.
    pub(crate) fn constant(&mut self, text: &str) -> Result<Moment, String> {
        self.parse(text).map_err(|_| {
            let (format, zone) = (self.format.name(), self.zone);
            format!("{text:?} is not a time written as {format} in {zone}")
        })
    }

    fn parse(&mut self, text: &str) -> Result<Moment, Unreadable> {
        if let Some((last, moment)) = &self.last
            && last == text
        {
            return Ok(*moment);
        }
        let at = match &self.format {
            TimeFormat::Rfc3339 => {
                let at = DateTime::parse_from_rfc3339(text).map_err(|_| Unreadable::Format)?;
                at.with_timezone(&self.zone)
            }
            TimeFormat::Unix => self.counted(text, 1_000_000)?,
            TimeFormat::UnixMillis => self.counted(text, 1_000)?,
            TimeFormat::Pattern(pattern) => self.shown(parse_pattern(text, pattern)?)?,
        };
        let moment = Moment {
            at: Timestamp::from_micros(at.timestamp_micros()),
            month: at.year() * 100 + i32::try_from(at.month()).unwrap_or(0),
        };
        self.last = Some((text.to_owned(), moment));
        Ok(moment)
    }

    fn counted(&self, text: &str, unit_micros: i64) -> Result<DateTime<Tz>, Unreadable> {
        let count: i64 = text.parse().map_err(|_| Unreadable::Format)?;
        let micros = count.checked_mul(unit_micros).ok_or(Unreadable::Format)?;
        let at = DateTime::from_timestamp_micros(micros).ok_or(Unreadable::Format)?;
        Ok(at.with_timezone(&self.zone))
    }

    /// The instant at which the zone's clocks show `shown`; of two (clocks put back), the first.
    fn shown(&self, shown: NaiveDateTime) -> Result<DateTime<Tz>, Unreadable> {
        match self.zone.from_local_datetime(&shown) {
            MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => Ok(at),
            MappedLocalTime::None => Err(Unreadable::Skipped),
        }
    }
}

/// A date and time; a pattern without a time of day means midnight.
fn parse_pattern(text: &str, pattern: &str) -> Result<NaiveDateTime, Unreadable> {
    NaiveDateTime::parse_from_str(text, pattern)
        .or_else(|_| {
            NaiveDate::parse_from_str(text, pattern).map(|date| date.and_time(chrono::NaiveTime::MIN))
        })
        .map_err(|_| Unreadable::Format)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(format: &str, zone: Tz, text: &str) -> Result<i64, String> {
        let mut clock = Clock::new(TimeFormat::named(format), zone);
        clock.constant(text).map(|moment| moment.at.micros() / 1_000_000)
    }

    #[test]
    fn local_times_follow_the_zones_clocks() {
        let london = chrono_tz::Europe::London;
        let pattern = "%Y-%m-%d %H:%M:%S";
        assert_eq!(micros(pattern, london, "2010-12-01 08:26:00"), Ok(1_291_191_960));
        assert_eq!(micros(pattern, london, "2011-09-26 17:20:00"), Ok(1_317_054_000));
        // Put back at 02:00: 01:30 happens twice, and the first is meant.
        assert_eq!(micros(pattern, london, "2011-10-30 01:30:00"), Ok(1_319_934_600));
        // Put forward at 01:00: 01:30 never happens.
        assert!(micros(pattern, london, "2011-03-27 01:30:00").is_err());
    }

    #[test]
    fn every_way_to_write_a_time_is_read() {
        let utc = Tz::UTC;
        assert_eq!(micros("%d/%m/%Y", utc, "02/01/1970"), Ok(86_400));
        assert_eq!(micros("rfc3339", utc, "1970-01-01T01:00:00+01:00"), Ok(0));
        assert_eq!(micros("unix", utc, "-5"), Ok(-5));
        assert_eq!(micros("unix-ms", utc, "5000"), Ok(5));
        assert!(micros("unix", utc, "9223372036854775807").is_err());
        assert!(micros("%d/%m/%Y", utc, "31/02/1970").is_err());
    }

    #[test]
    fn months_are_those_of_the_zone() {
        let mut clock = Clock::new(TimeFormat::Rfc3339, chrono_tz::America::Sao_Paulo);
        let moment = clock.constant("2011-05-01T01:00:00Z").expect("a time");
        assert_eq!(moment.month, 201_104);
    }
}
