//! Signing in, staying signed in, signing out.
//!
//! A session is a family of refresh tokens. Using a token gives a new one, a generation younger. The one it was
//! given for, the anchor, goes on working, since the answer may have been lost, until one of the tokens given for it
//! is used: that one becomes the anchor. So at any time the anchor and the tokens given for it work; every other
//! token of the family has been replaced, and whoever uses one is not the only one who holds it: the session ends.
//!
//! Two requests that refresh with one token at once both succeed, and either answer can be gone on with; one only.

use uuid::Uuid;

use crate::database::{Connection, Tx};
use crate::password::Check;
use crate::secret::{fingerprint, hex, random_bytes};
use crate::users::{User, user_from_row, user_row_by_login};
use crate::{AccessError, Accounts, Caller, LoginError, RefreshError, Secret, UnixMs};

const REFRESH_PREFIX: &str = "bcr_";
/// How many tokens given for one anchor work at once; the oldest is forgotten for the next.
const OUTSTANDING_MAX: i64 = 16;

/// What a signed-in user holds.
#[derive(Debug)]
pub struct Tokens {
    /// Goes with every request, as a bearer token or cookie.
    pub access_token: Secret,
    /// For how many seconds the access token works.
    pub expires_in_s: u32,
    /// Gives the next pair. New each time.
    pub refresh_token: Secret,
}

/// A login that succeeded.
#[derive(Debug)]
pub struct Login {
    /// What the user now holds.
    pub tokens: Tokens,
    /// Who it is.
    pub user: User,
}

/// Who a session belongs to, as far as tokens tell.
struct Owner {
    id: Uuid,
    token_version: i64,
}

/// A refresh token as stored, with its session.
struct Presented {
    session: Uuid,
    generation: i64,
    is_anchor: bool,
    anchor_generation: i64,
    expires_at: UnixMs,
    owner: Owner,
}

impl Accounts {
    /// Signs a user in by e-mail address or username. An unknown user, a wrong password and a disabled user get the
    /// same answer after the same work.
    pub async fn login(&self, login: &str, password: &str) -> Result<Login, LoginError> {
        let row = user_row_by_login(self.db().reader().await?, login).await?;
        let stored: Option<&str> = row.as_ref().map(|row| row.try_get("password_hash")).transpose()?;
        let check = self.passwords().check(password, stored).await?;
        let (Some(row), Check::Right | Check::RightAt { .. }) = (&row, &check) else {
            return Err(LoginError::Refused);
        };
        let user = user_from_row(row)?;
        let owner = Owner {
            id: user.id,
            token_version: row.try_get("token_version")?,
        };
        let tokens = self.session_start(row.try_get("no")?, owner, check).await?;
        Ok(Login {
            tokens: tokens.ok_or(LoginError::Refused)?,
            user,
        })
    }

    /// Gives a new pair of tokens for a refresh token.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens, RefreshError> {
        if !refresh_token.starts_with(REFRESH_PREFIX) {
            return Err(RefreshError::Invalid);
        }
        let now = self.now();
        let hash = *fingerprint(refresh_token.as_bytes()).as_bytes();
        // An unknown token is turned away without taking the right to write.
        presented(self.db().reader().await?.on(), &hash)
            .await?
            .ok_or(RefreshError::Invalid)?;
        let mut tx = self.db().begin().await?;
        let presented = presented(tx.on(), &hash).await?.ok_or(RefreshError::Invalid)?;
        if now >= presented.expires_at {
            return Err(RefreshError::Expired {
                at: presented.expires_at,
            });
        }
        let outstanding = presented.generation == presented.anchor_generation + 1;
        if !presented.is_anchor && !outstanding {
            session_end(&mut tx, presented.session).await?;
            self.commit(tx).await?;
            tracing::warn!(user = %presented.owner.id, "a replaced refresh token was used: its session has ended");
            return Err(RefreshError::Reused);
        }
        if outstanding {
            tx.query("update sessions set anchor_hash = $1, anchor_generation = $2 where id = $3")
                .bind(hash.as_slice())
                .bind(presented.generation)
                .bind(presented.session)
                .execute()
                .await?;
        }
        let refresh_token = new_refresh_token()?;
        let next = presented.generation + 1;
        token_issue(&mut tx, presented.session, next, &refresh_token, now).await?;
        tx.query("update sessions set expires_at = $1 where id = $2")
            .bind(now.plus_s(self.session_idle_max_s()).0)
            .bind(presented.session)
            .execute()
            .await?;
        let tokens = self.tokens_of(&presented.owner, presented.session, refresh_token, now)?;
        self.commit(tx).await?;
        Ok(tokens)
    }

    /// Ends the session that the caller's access token belongs to: its refresh tokens and access tokens stop working
    /// at once. For a key, which has no session, nothing happens.
    pub async fn logout(&self, caller: &Caller) -> Result<(), AccessError> {
        let Some(session) = caller.basis.session else {
            return Ok(());
        };
        let mut tx = self.db().begin().await?;
        session_end(&mut tx, session).await?;
        self.commit(tx).await
    }

    /// Removes expired sessions, and replaced tokens too old to have been worth stealing.
    pub(crate) async fn remove_expired_sessions(&self) -> Result<(), AccessError> {
        let now = self.now();
        let mut tx = self.db().begin().await?;
        tx.query("delete from sessions where expires_at <= $1")
            .bind(now.0)
            .execute()
            .await?;
        tx.query(
            "delete from refresh_tokens where issued_at <= $1 and exists
                (select 1 from sessions s where s.id = session and s.anchor_hash <> hash
                                             and generation <= s.anchor_generation)",
        )
        .bind(now.plus_s(-self.session_idle_max_s()).0)
        .execute()
        .await?;
        self.commit(tx).await
    }

    /// `None` where the user is disabled, or got another password while this one was being checked.
    async fn session_start(
        &self,
        user_no: i64,
        owner: Owner,
        check: Check,
    ) -> Result<Option<Tokens>, AccessError> {
        let now = self.now();
        let refresh_token = new_refresh_token()?;
        let session = Uuid::new_v4();
        let mut tx = self.db().begin().await?;
        let unchanged: bool = tx
            .query("select exists (select 1 from users where no = $1 and token_version = $2 and active)")
            .bind(user_no)
            .bind(owner.token_version)
            .fetch_value()
            .await?;
        if !unchanged {
            return Ok(None);
        }
        if let Check::RightAt { new_hash } = check {
            tx.query("update users set password_hash = $1 where no = $2")
                .bind(new_hash)
                .bind(user_no)
                .execute()
                .await?;
        }
        tx.query(
            "insert into sessions (id, user_no, anchor_hash, anchor_generation, created_at, expires_at)
             values ($1, $2, $3, 0, $4, $5)",
        )
        .bind(session)
        .bind(user_no)
        .bind(
            fingerprint(refresh_token.reveal().as_bytes())
                .as_bytes()
                .as_slice(),
        )
        .bind(now.0)
        .bind(now.plus_s(self.session_idle_max_s()).0)
        .execute()
        .await?;
        token_issue(&mut tx, session, 0, &refresh_token, now).await?;
        let tokens = self.tokens_of(&owner, session, refresh_token, now)?;
        self.commit(tx).await?;
        Ok(Some(tokens))
    }

    fn tokens_of(
        &self,
        owner: &Owner,
        session: Uuid,
        refresh_token: Secret,
        now: UnixMs,
    ) -> Result<Tokens, AccessError> {
        let access_token = self.tokens().sign(owner.id, session, owner.token_version, now)?;
        Ok(Tokens {
            access_token,
            expires_in_s: self.tokens().lifetime_s(),
            refresh_token,
        })
    }
}

fn new_refresh_token() -> Result<Secret, AccessError> {
    Ok(Secret::new(format!(
        "{REFRESH_PREFIX}{}",
        hex(&random_bytes::<32>()?)
    )))
}

async fn presented(mut on: Connection<'_>, hash: &[u8; 32]) -> Result<Option<Presented>, AccessError> {
    let query = on.query(
        "select s.id as session, t.generation, s.anchor_hash = t.hash as is_anchor, s.anchor_generation,
                s.expires_at, u.id as user_id, u.token_version
         from refresh_tokens t
         join sessions s on s.id = t.session
         join users u on u.no = s.user_no
         where t.hash = $1 and u.active",
    );
    let row = query.bind(hash.as_slice()).fetch_optional().await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Presented {
        session: row.try_get("session")?,
        generation: row.try_get("generation")?,
        is_anchor: row.try_get("is_anchor")?,
        anchor_generation: row.try_get("anchor_generation")?,
        expires_at: UnixMs(row.try_get("expires_at")?),
        owner: Owner {
            id: row.try_get("user_id")?,
            token_version: row.try_get("token_version")?,
        },
    }))
}

/// Stores a token, and forgets the oldest ones of its generation above the limit.
async fn token_issue(
    tx: &mut Tx,
    session: Uuid,
    generation: i64,
    token: &Secret,
    now: UnixMs,
) -> Result<(), AccessError> {
    let query = tx.query(
        "insert into refresh_tokens (hash, session, generation, issue_no, issued_at)
         values ($1, $2, $3, (select coalesce(max(issue_no), 0) + 1 from refresh_tokens
                              where session = $2 and generation = $3), $4)
         returning issue_no",
    );
    let issue_no: i64 = query
        .bind(fingerprint(token.reveal().as_bytes()).as_bytes().as_slice())
        .bind(session)
        .bind(generation)
        .bind(now.0)
        .fetch_value()
        .await?;
    tx.query("delete from refresh_tokens where session = $1 and generation = $2 and issue_no <= $3")
        .bind(session)
        .bind(generation)
        .bind(issue_no - OUTSTANDING_MAX)
        .execute()
        .await?;
    Ok(())
}

/// Its refresh tokens go with it; a trigger tells everybody who holds its access tokens in memory.
async fn session_end(tx: &mut Tx, session: Uuid) -> Result<(), AccessError> {
    tx.query("delete from sessions where id = $1")
        .bind(session)
        .execute()
        .await?;
    Ok(())
}
