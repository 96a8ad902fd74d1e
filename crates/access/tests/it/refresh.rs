//! Refresh tokens: against a model that knows the whole history, and under concurrency.

use bincard_access::*;
use proptest::prelude::*;

use super::scratch;
use crate::support::*;

const IDLE_S: i64 = 30 * 24 * 60 * 60;
const OUTSTANDING_MAX: usize = 16;

#[derive(Clone, Debug)]
enum Step {
    /// Refresh with one of the tokens issued so far, counted from the newest.
    Use(usize),
    AdvanceDays(i64),
    Upkeep,
}

/// Every token of one session in order of issue. A token works as long as no younger generation has been used, nor
/// another one of its own.
#[derive(Default)]
struct Model {
    tokens: Vec<Issued>,
    ended: bool,
    expires_at: i64,
}

struct Issued {
    generation: usize,
    issued_at: i64,
    used: bool,
    forgotten: bool,
}

#[derive(PartialEq, Debug)]
enum Answer {
    Tokens,
    Invalid,
    Expired,
    Reused,
}

impl Model {
    fn issue(&mut self, generation: usize, now: i64) {
        self.tokens.push(Issued {
            generation,
            issued_at: now,
            used: false,
            forgotten: false,
        });
        self.expires_at = now + IDLE_S * 1000;
        let siblings = self
            .tokens
            .iter_mut()
            .rev()
            .filter(|t| t.generation == generation);
        siblings.skip(OUTSTANDING_MAX).for_each(|t| t.forgotten = true);
    }

    fn works(&self, index: usize) -> bool {
        let token = &self.tokens[index];
        let replaced_by = |(other, t): (usize, &Issued)| {
            t.used
                && (t.generation > token.generation || (t.generation == token.generation && other != index))
        };
        !self.tokens.iter().enumerate().any(replaced_by)
    }

    fn refresh(&mut self, index: usize, now: i64) -> Answer {
        if self.ended || self.tokens[index].forgotten {
            return Answer::Invalid;
        }
        if now >= self.expires_at {
            return Answer::Expired;
        }
        if !self.works(index) {
            self.ended = true;
            return Answer::Reused;
        }
        self.tokens[index].used = true;
        self.issue(self.tokens[index].generation + 1, now);
        Answer::Tokens
    }

    fn upkeep(&mut self, now: i64) {
        self.ended |= now >= self.expires_at;
        for index in 0..self.tokens.len() {
            if !self.works(index) && self.tokens[index].issued_at <= now - IDLE_S * 1000 {
                self.tokens[index].forgotten = true;
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => Just(Step::Use(0)),
        4 => Just(Step::Use(1)),
        3 => (0..40_usize).prop_map(Step::Use),
        1 => (1..=29_i64).prop_map(Step::AdvanceDays),
        1 => Just(Step::AdvanceDays(30)),
        1 => Just(Step::Upkeep),
    ];
    // Retrying again and again with the same token is what reaches the limit of outstanding ones.
    let retries = (0..24_usize).prop_map(|n| (0..n).map(Step::Use).collect::<Vec<_>>());
    (retries, prop::collection::vec(step, 1..40)).prop_map(|(retries, steps)| [retries, steps].concat())
}

#[test]
fn refresh_tokens_behave_as_the_model_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let s = runtime.block_on(scratch());
    runtime.block_on(s.user("mia", Role::Viewer));
    let config = ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in steps())| {
        runtime.block_on(compare_with_model(&s, &steps))?;
    });
}

async fn compare_with_model(s: &Scratch, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    model.issue(0, s.clock.now().0);
    let mut tokens = vec![s.login("mia").await];
    for step in steps {
        let now = s.clock.now().0;
        match step {
            Step::AdvanceDays(days) => s.clock.advance_ms(days * 24 * 60 * 60 * 1000),
            Step::Upkeep => {
                model.upkeep(now);
                s.accounts.upkeep().await.unwrap();
            }
            Step::Use(back) => {
                let index = tokens.len() - 1 - back % tokens.len();
                let got = s.accounts.refresh(tokens[index].refresh_token.reveal()).await;
                let answer = match &got {
                    Ok(_) => Answer::Tokens,
                    Err(RefreshError::Invalid) => Answer::Invalid,
                    Err(RefreshError::Expired { .. }) => Answer::Expired,
                    Err(RefreshError::Reused) => Answer::Reused,
                    Err(RefreshError::Unavailable(error)) => panic!("{error:?}"),
                };
                prop_assert_eq!(answer, model.refresh(index, now), "token {}", index);
                tokens.extend(got);
            }
        }
        // The newest access token lives and dies with its session; older ones may have expired.
        let newest = &tokens[tokens.len() - 1].access_token;
        if matches!(step, Step::Use(_)) && now == model.tokens[model.tokens.len() - 1].issued_at {
            prop_assert_eq!(s.caller(newest).await.is_ok(), !model.ended);
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_old_token_works_until_the_new_one_has_been_used() {
    let s = scratch().await;
    s.user("mia", Role::Viewer).await;
    let first = s.login("mia").await;
    let lost = s.accounts.refresh(first.refresh_token.reveal()).await.unwrap();
    let second = s.accounts.refresh(first.refresh_token.reveal()).await.unwrap();
    assert_ne!(lost.refresh_token, second.refresh_token);
    let third = s.accounts.refresh(second.refresh_token.reveal()).await.unwrap();
    s.caller(&third.access_token).await.unwrap();
    assert_refused!(
        s.accounts.refresh(first.refresh_token.reveal()).await,
        RefreshError::Reused
    );
    assert_refused!(
        s.accounts.refresh(third.refresh_token.reveal()).await,
        RefreshError::Invalid
    );
    for tokens in [&first, &lost, &second, &third] {
        assert_refused!(s.caller(&tokens.access_token).await, AuthError::Revoked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_refreshes_at_once_both_succeed_and_one_line_goes_on() {
    let s = scratch().await;
    s.user("mia", Role::Viewer).await;
    let other = s.other_process().await;
    for _ in 0..20 {
        let first = s.login("mia").await.refresh_token;
        let (here, there) = tokio::join!(s.accounts.refresh(first.reveal()), other.refresh(first.reveal()));
        let (here, there) = (here.unwrap().refresh_token, there.unwrap().refresh_token);
        assert_ne!(here, there);
        // Used at once, too, one of them is the first; the other one then ends the session.
        let (a, b) = tokio::join!(s.accounts.refresh(here.reveal()), other.refresh(there.reveal()));
        match (a, b) {
            (Ok(went_on), Err(RefreshError::Reused)) | (Err(RefreshError::Reused), Ok(went_on)) => {
                assert_refused!(
                    s.accounts.refresh(went_on.refresh_token.reveal()).await,
                    RefreshError::Invalid
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_session_ends_after_thirty_idle_days_and_is_removed() {
    let s = scratch().await;
    s.user("mia", Role::Viewer).await;
    let (idle, busy) = (s.login("mia").await, s.login("mia").await);
    s.clock.advance_ms((IDLE_S - 1) * 1000);
    let busy = s.accounts.refresh(busy.refresh_token.reveal()).await.unwrap();
    s.clock.advance_ms(1000);
    let refused = s.accounts.refresh(idle.refresh_token.reveal()).await;
    assert_refused!(refused, RefreshError::Expired { at } if at == START.plus_s(IDLE_S));
    s.accounts.upkeep().await.unwrap();
    assert_refused!(
        s.accounts.refresh(idle.refresh_token.reveal()).await,
        RefreshError::Invalid
    );
    assert_eq!(
        s.sql_text("select cast(count(*) as text) from sessions").await,
        "1"
    );
    s.accounts.refresh(busy.refresh_token.reveal()).await.unwrap();
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused() {
    let s = scratch().await;
    s.user("mia", Role::Viewer).await;
    let tokens = s.login("mia").await;
    let zeros = format!("bcr_{}", "0".repeat(64));
    for text in [
        "",
        "bcr_",
        zeros.as_str(),
        tokens.access_token.reveal(),
        &tokens.refresh_token.reveal()[4..],
    ] {
        assert_refused!(s.accounts.refresh(text).await, RefreshError::Invalid);
    }
    s.accounts.refresh(tokens.refresh_token.reveal()).await.unwrap();
}

#[tokio::test]
async fn upkeep_forgets_old_replaced_tokens_and_no_other() {
    let s = scratch().await;
    s.user("mia", Role::Viewer).await;
    let days = |days: i64| s.clock.advance_ms(days * 24 * 60 * 60 * 1000);
    let refresh = async |tokens: &Tokens| s.accounts.refresh(tokens.refresh_token.reveal()).await;

    // An anchor older than a session may be idle still works while the session is alive.
    let anchor = s.login("mia").await;
    days(29);
    let outstanding = refresh(&anchor).await.unwrap();
    days(2);
    s.accounts.upkeep().await.unwrap();
    let twin = refresh(&anchor).await.unwrap();

    // A replaced token ends the session while it is remembered, and is merely unknown after that. The twin is of the
    // anchor's own generation when it is forgotten.
    refresh(&outstanding).await.unwrap();
    days(29);
    let next = refresh(&outstanding).await.unwrap();
    days(2);
    s.accounts.upkeep().await.unwrap();
    assert_refused!(refresh(&anchor).await, RefreshError::Invalid);
    assert_refused!(refresh(&twin).await, RefreshError::Invalid);
    let last = refresh(&next).await.unwrap();
    s.caller(&last.access_token).await.unwrap();
}
