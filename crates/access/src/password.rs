//! Passwords: argon2id on threads of their own, never more at once than there are processors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::AccessError;

const CHARS_MIN: usize = 8;
const BYTES_MAX: usize = 1024;
/// How many may wait for a processor before further ones are turned away.
const WAITING_MAX: usize = 256;

/// What checking a password costs. The default takes about 25 ms of a processor and 19 MiB.
///
/// After a change, a user's hash follows at the next login; until then, whoever measures time can tell such a user
/// from an unknown one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PasswordCost {
    /// Memory, in KiB: at least 8.
    pub memory_kib: u32,
    /// Passes over it: at least 1.
    pub passes: u32,
}

impl Default for PasswordCost {
    fn default() -> PasswordCost {
        PasswordCost {
            memory_kib: Params::DEFAULT_M_COST,
            passes: Params::DEFAULT_T_COST,
        }
    }
}

pub(crate) struct Passwords {
    params: Params,
    /// Of a password that nobody has: an unknown user's is checked against it, so that it takes as long.
    nobodys_hash: String,
    waiting: Arc<Semaphore>,
    running: Arc<Semaphore>,
    checks_count: AtomicU64,
}

/// What a check of a password found.
pub(crate) enum Check {
    Wrong,
    Right,
    /// Right, but hashed at another cost than today's: here is one at today's.
    RightAt {
        new_hash: String,
    },
}

impl Passwords {
    pub(crate) fn new(cost: PasswordCost) -> Result<Passwords, AccessError> {
        let field = "password_cost";
        let params =
            Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|_| AccessError::Invalid {
                field,
                why: "must be at least 8 KiB and one pass",
            })?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Passwords {
            nobodys_hash: hash_now(
                &params,
                &crate::secret::hex(&crate::secret::random_bytes::<32>()?),
            )?,
            params,
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            running: Arc::new(Semaphore::new(processors)),
            checks_count: AtomicU64::new(0),
        })
    }

    /// How many passwords have been checked, right or wrong, of known and unknown users.
    pub(crate) fn checks_count(&self) -> u64 {
        self.checks_count.load(Ordering::Relaxed)
    }

    /// The PHC string to store for a new password.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, AccessError> {
        if password.chars().count() < CHARS_MIN || password.len() > BYTES_MAX {
            let why = "must be at least 8 characters and at most 1,024 bytes";
            return Err(AccessError::Invalid {
                field: "password",
                why,
            });
        }
        let (params, password) = (self.params.clone(), password.to_owned());
        self.run(move || hash_now(&params, &password)).await
    }

    /// Compares `password` with the stored hash, or with nobody's when there is no user. The same work is done in
    /// every case.
    pub(crate) async fn check(&self, password: &str, stored: Option<&str>) -> Result<Check, AccessError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.nobodys_hash).to_owned();
        let (params, password) = (self.params.clone(), password.to_owned());
        let check = self.run(move || check_now(&params, &password, &stored)).await?;
        self.checks_count.fetch_add(1, Ordering::Relaxed);
        Ok(if known { check } else { Check::Wrong })
    }

    /// A permit moves into the work, so that work whose caller has hung up still counts as running.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AccessError> + Send + 'static,
    ) -> Result<T, AccessError> {
        let place = self
            .waiting
            .clone()
            .try_acquire_owned()
            .map_err(|_| AccessError::Busy)?;
        let permit = self
            .running
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| AccessError::Stopping)?;
        let work = move || {
            let done = work();
            drop((permit, place));
            done
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| AccessError::Stopping)?
    }
}

fn hash_now(params: &Params, password: &str) -> Result<String, AccessError> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let hash: PasswordHash = argon2
        .hash_password(password.as_bytes())
        .map_err(|_| AccessError::Crypto)?;
    Ok(hash.to_string())
}

fn check_now(params: &Params, password: &str, stored: &str) -> Result<Check, AccessError> {
    let corrupt = || AccessError::Corrupt {
        what: "password hash",
    };
    let stored = PasswordHash::new(stored).map_err(|_| corrupt())?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    if argon2.verify_password(password.as_bytes(), &stored).is_err() {
        return Ok(Check::Wrong);
    }
    let stored_params = Params::try_from(&stored).map_err(|_| corrupt())?;
    let cost = |p: &Params| (p.m_cost(), p.t_cost(), p.p_cost());
    if cost(&stored_params) == cost(params) {
        return Ok(Check::Right);
    }
    Ok(Check::RightAt {
        new_hash: hash_now(params, password)?,
    })
}
