//! Access tokens: short-lived JWTs (HS256) that name a user and a session, and nothing that may change meanwhile.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::hmac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AccessError, Secret, UnixMs};

/// What a token says. Role and tenant are looked up, so that a change of theirs holds at once.
#[derive(Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The user.
    #[serde(rename = "sub")]
    pub(crate) user: Uuid,
    /// The session.
    #[serde(rename = "sid")]
    pub(crate) session: Uuid,
    /// The user's token version at the time.
    #[serde(rename = "ver")]
    pub(crate) token_version: i64,
    #[serde(rename = "iat")]
    issued_at_s: i64,
    #[serde(rename = "exp")]
    expires_at_s: i64,
}

impl Claims {
    pub(crate) fn expires_at(&self) -> UnixMs {
        UnixMs(0).plus_s(self.expires_at_s)
    }
}

/// Signs and reads access tokens with the installation's key.
pub(crate) struct AccessTokens {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    lifetime_s: u32,
}

impl AccessTokens {
    pub(crate) fn new(key: &[u8], lifetime_s: u32) -> AccessTokens {
        // It can be installed once a process; a second installation of the same one changes nothing.
        let _installed_before = HMAC_BY_RING.install_default();
        let mut validation = Validation::new(Algorithm::HS256);
        // The expiry is compared with our own clock, exactly, on every use of a token and not only here.
        validation.validate_exp = false;
        AccessTokens {
            signing: EncodingKey::from_secret(key),
            verifying: DecodingKey::from_secret(key),
            validation,
            lifetime_s,
        }
    }

    pub(crate) fn lifetime_s(&self) -> u32 {
        self.lifetime_s
    }

    pub(crate) fn sign(
        &self,
        user: Uuid,
        session: Uuid,
        token_version: i64,
        now: UnixMs,
    ) -> Result<Secret, AccessError> {
        let issued_at_s = now.seconds();
        let expires_at_s = issued_at_s.saturating_add(i64::from(self.lifetime_s));
        let claims = Claims {
            user,
            session,
            token_version,
            issued_at_s,
            expires_at_s,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing);
        token.map(Secret::new).map_err(|_| AccessError::Crypto)
    }

    /// What the token says, if this installation signed it; whether it has expired is another question.
    pub(crate) fn read(&self, token: &str) -> Option<Claims> {
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.validation);
        decoded.ok().map(|decoded| decoded.claims)
    }
}

/// HMAC-SHA-256 by ring, which the program contains for TLS in any case.
static HMAC_BY_RING: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(HmacKey::new(*algorithm, key.as_bytes())?)),
    verifier_factory: |algorithm, key| Ok(Box::new(HmacKey::new(*algorithm, key.try_get_as_bytes()?)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

struct HmacKey(hmac::Key);

impl HmacKey {
    fn new(algorithm: Algorithm, key: &[u8]) -> jsonwebtoken::errors::Result<HmacKey> {
        match algorithm {
            Algorithm::HS256 => Ok(HmacKey(hmac::Key::new(hmac::HMAC_SHA256, key))),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    }
}

impl Signer<Vec<u8>> for HmacKey {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl Verifier<Vec<u8>> for HmacKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        hmac::verify(&self.0, message, signature).map_err(|_| SignatureError::new())
    }
}

impl JwtSigner for HmacKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for HmacKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
