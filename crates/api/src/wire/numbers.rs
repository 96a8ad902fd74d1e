//! Numbers too large for any float, which the JSON reader takes for broken JSON.

/// What stands in for such a number: one that is as large for every field.
const STAND_IN: &[u8] = b"1e300";

/// `json` with its endless numbers replaced; `None` where it has none.
pub(super) fn tame(json: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len());
    let mut has_changed = false;
    let mut rest = json;
    while let Some(&first) = rest.first() {
        let (length, is_endless) = match first {
            b'"' => (string_length(rest), false),
            b'-' | b'0'..=b'9' => number_length(rest),
            _ => (1, false),
        };
        let (token, after) = rest.split_at(length);
        out.extend_from_slice(if is_endless { STAND_IN } else { token });
        has_changed |= is_endless;
        rest = after;
    }
    has_changed.then_some(out)
}

/// How long the string is that `rest` begins with, quotes included.
fn string_length(rest: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = rest.iter().skip(1).position(|&byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(rest.len(), |end| end + 2)
}

/// How long the number is that `rest` begins with, and whether it is beyond every float.
fn number_length(rest: &[u8]) -> (usize, bool) {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
    let number = std::str::from_utf8(&rest[..length])
        .ok()
        .and_then(|text| text.parse::<f64>().ok());
    (length, number.is_some_and(f64::is_infinite))
}
