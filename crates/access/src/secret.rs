//! Secrets: making them, keeping them out of logs, hashing and comparing them.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};

use crate::AccessError;

/// 32 characters that are hard to mistake for one another (no `l`, `o`, `0`, `1`): five bits each, without bias.
const READABLE: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const PASSWORD_GROUPS: usize = 5;
const PASSWORD_GROUP_CHARS: usize = 5;

/// A token, key or password in clear, which goes to its owner once. It does not show in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The clear text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn new(text: String) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Bytes from the operating system's randomness.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], AccessError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| AccessError::NoRandomness)?;
    Ok(bytes)
}

/// A password of 25 readable characters in five groups: 125 bits.
pub(crate) fn random_password() -> Result<Secret, AccessError> {
    let bytes = random_bytes::<{ PASSWORD_GROUPS * PASSWORD_GROUP_CHARS }>()?;
    let mut text = String::with_capacity(bytes.len() + PASSWORD_GROUPS);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 && index % PASSWORD_GROUP_CHARS == 0 {
            text.push('-');
        }
        text.push(char::from(READABLE[usize::from(byte & 31)]));
    }
    Ok(Secret(text))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|b| [digit(b >> 4), digit(b & 15)])
        .collect()
}

/// The bytes that `text` spells in exactly `2 × N` lower-case hexadecimal digits.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// What stands in the database in a secret's place. The secrets are 256 random bits, so a fast hash is enough:
/// there is no list of likely ones to try.
pub(crate) fn fingerprint(secret: &[u8]) -> blake3::Hash {
    blake3::hash(secret)
}
