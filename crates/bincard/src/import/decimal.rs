//! Numbers as files write them: whole quantities and exact decimals. Never a float.

use std::fmt;

/// Digits kept behind the point.
const PLACES: usize = 9;
/// One, in units of the last digit kept.
const ONE: i128 = 1_000_000_000;

/// An exact decimal number with at most nine digits behind its point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Decimal(i128);

/// Why a text is no number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NumberError {
    #[error("is blank, where a number is needed")]
    Blank,
    #[error("is not a number")]
    NotANumber,
    #[error("has more than 9 digits behind its point")]
    TooFine,
    #[error("is too large")]
    TooLarge,
    #[error("is not a whole number")]
    NotWhole,
}

/// How a file writes numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NumberFormat {
    /// What stands between whole units and their parts.
    pub(crate) point: char,
    /// What may stand between groups of digits, and is passed over.
    pub(crate) group: Option<char>,
}

impl Default for NumberFormat {
    fn default() -> NumberFormat {
        NumberFormat {
            point: '.',
            group: None,
        }
    }
}

impl NumberFormat {
    /// The number that `text` writes, blanks around it passed over.
    pub(crate) fn parse(self, text: &str) -> Result<Decimal, NumberError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NumberError::Blank);
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let size = self.parse_digits(digits)?;
        Ok(Decimal(if negative { -size } else { size }))
    }

    /// The whole number that `text` writes; `6.00` is one.
    pub(crate) fn parse_whole(self, text: &str) -> Result<i64, NumberError> {
        let number = self.parse(text)?.0;
        if number % ONE != 0 {
            return Err(NumberError::NotWhole);
        }
        i64::try_from(number / ONE).map_err(|_| NumberError::TooLarge)
    }

    fn parse_digits(self, digits: &str) -> Result<i128, NumberError> {
        let mut value: i128 = 0;
        let mut places: Option<usize> = None;
        let mut count = 0;
        for c in digits.chars() {
            if let Some(digit) = c.to_digit(10) {
                count += 1;
                if let Some(places) = &mut places {
                    if *places == PLACES {
                        if digit == 0 {
                            continue;
                        }
                        return Err(NumberError::TooFine);
                    }
                    *places += 1;
                }
                value = value
                    .checked_mul(10)
                    .and_then(|value| value.checked_add(i128::from(digit)))
                    .ok_or(NumberError::TooLarge)?;
            } else if c == self.point && places.is_none() {
                places = Some(0);
            } else if Some(c) != self.group || places.is_some() || count == 0 {
                return Err(NumberError::NotANumber);
            }
        }
        if count == 0 {
            return Err(NumberError::NotANumber);
        }
        let missing = u32::try_from(PLACES - places.unwrap_or(0)).unwrap_or(0);
        value
            .checked_mul(10i128.pow(missing))
            .ok_or(NumberError::TooLarge)
    }
}

impl Decimal {
    /// `units` of this much each.
    pub(crate) fn times(self, units: i64) -> Option<Decimal> {
        self.0.checked_mul(i128::from(units)).map(Decimal)
    }

    /// This and `other`.
    pub(crate) fn plus(self, other: Decimal) -> Option<Decimal> {
        self.0.checked_add(other.0).map(Decimal)
    }
}

/// Without needless zeros: `2.5`, `0`, `-12.125`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.unsigned_abs();
        let one = ONE.unsigned_abs();
        let mut text = format!("{}.{:09}", size / one, size % one);
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
        f.pad_integral(self.0 >= 0, "", &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, NumberError> {
        NumberFormat::default()
            .parse(text)
            .map(|number| number.to_string())
    }

    #[test]
    fn decimals_are_read_and_written_exactly() {
        for (text, expected) in [
            ("2.55", "2.55"),
            (" -0.001 ", "-0.001"),
            ("+6", "6"),
            ("6.00", "6"),
            ("0.0", "0"),
            ("-0", "0"),
            (".5", "0.5"),
            ("11062.06", "11062.06"),
            ("1.1234567890", "1.123456789"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_named() {
        use NumberError::*;
        for (text, error) in [
            ("", Blank),
            ("  ", Blank),
            ("-", NotANumber),
            (".", NotANumber),
            ("1e3", NotANumber),
            ("1.2.3", NotANumber),
            ("1,000", NotANumber),
            ("--1", NotANumber),
            ("0.0000000001", TooFine),
            ("99999999999999999999999999999999999999", TooLarge),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        let format = NumberFormat::default();
        assert_eq!(format.parse_whole("1.5"), Err(NotWhole));
        assert_eq!(format.parse_whole("9223372036854775808"), Err(TooLarge));
        assert_eq!(format.parse_whole("-12.000"), Ok(-12));
    }

    #[test]
    fn points_and_groups_are_the_files_own() {
        let format = NumberFormat {
            point: ',',
            group: Some('.'),
        };
        assert_eq!(
            format.parse("1.234,50").map(|n| n.to_string()).as_deref(),
            Ok("1234.5")
        );
        assert_eq!(format.parse(".5"), Err(NumberError::NotANumber));
        assert_eq!(format.parse("1,5.0"), Err(NumberError::NotANumber));
    }

    #[test]
    fn money_adds_up_without_rounding() {
        let price = NumberFormat::default().parse("0.001").expect("a number");
        let sum = (0..1_000).try_fold(Decimal::default(), |sum, _| sum.plus(price.times(3)?));
        assert_eq!(sum.map(|sum| sum.to_string()).as_deref(), Some("3"));
    }
}
