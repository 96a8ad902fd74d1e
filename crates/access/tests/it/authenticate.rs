//! From token to caller: exact expiry, and no caller served as it was before a change.

use bincard_access::*;

use super::scratch;
use crate::support::*;

fn in_memory(accounts: &Accounts, token: &Secret) -> bool {
    accounts.authenticate_in_memory(token.reveal()).is_some()
}

#[tokio::test]
async fn the_second_request_is_answered_from_memory() {
    let s = scratch().await;
    s.user("mia", Role::Viewer).await;
    let (token, key) = (
        s.login("mia").await.access_token,
        s.key("k", Role::Viewer, Plan::Standard).await.secret,
    );
    for bearer in [&token, &key] {
        assert!(!in_memory(&s.accounts, bearer));
        let first = s.caller(bearer).await.unwrap();
        let second = s
            .accounts
            .authenticate_in_memory(bearer.reveal())
            .unwrap()
            .unwrap();
        assert!(std::sync::Arc::ptr_eq(&first, &second));
    }
}

#[tokio::test]
async fn a_token_expires_to_the_millisecond_in_memory_and_out_of_it() {
    let s = scratch().await;
    s.user("mia", Role::Viewer).await;
    let token = s.login("mia").await.access_token;
    s.clock.advance_ms(899_999);
    s.caller(&token).await.unwrap();
    assert!(in_memory(&s.accounts, &token));
    let end = START.plus_s(900);
    s.clock.advance_ms(1);
    assert_refused!(s.caller(&token).await, AuthError::Expired { at } if at == end);
    assert_refused!(s.accounts.authenticate_in_memory(token.reveal()).unwrap(), AuthError::Expired { at } if at == end);
    let elsewhere = s.other_process().await.authenticate(token.reveal()).await;
    assert_refused!(elsewhere, AuthError::Expired { at } if at == end);
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_refused() {
    let s = scratch().await;
    let foreign = scratch().await;
    for installation in [&s, &foreign] {
        installation.user("mia", Role::Admin).await;
    }
    let token = s.login("mia").await;
    let text = token.access_token.reveal();
    let [header, claims, signature]: [&str; 3] = text.split('.').collect::<Vec<_>>().try_into().unwrap();
    // {"alg":"none","typ":"JWT"} and {"typ":"JWT","alg":"HS512"}
    let (none, hs512) = (
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9",
    );
    let changed = claims.replacen(&claims[10..11], if &claims[10..11] == "A" { "B" } else { "A" }, 1);
    let cases = [
        String::new(),
        "nonsense".to_owned(),
        "..".to_owned(),
        format!("{header}.{claims}."),
        format!("{header}.{claims}"),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{hs512}.{claims}.{signature}"),
        format!("{header}.{changed}.{signature}"),
        format!(
            "{header}.{claims}.{}",
            signature.chars().rev().collect::<String>()
        ),
        format!("{text} "),
        "a".repeat(100_000),
        token.refresh_token.reveal().to_owned(),
        foreign.login("mia").await.access_token.reveal().to_owned(),
    ];
    for case in &cases {
        assert_refused!(s.accounts.authenticate(case).await, AuthError::Invalid);
    }
    s.caller(&token.access_token).await.unwrap();
}

#[tokio::test]
async fn signing_out_ends_that_session_and_no_other() {
    let s = scratch().await;
    s.user("mia", Role::Viewer).await;
    let (one, two) = (s.login("mia").await, s.login("mia").await);
    let caller = s.caller(&one.access_token).await.unwrap();
    s.caller(&two.access_token).await.unwrap();
    s.accounts.logout(&caller).await.unwrap();
    assert_refused!(s.caller(&one.access_token).await, AuthError::Revoked);
    assert_refused!(
        s.accounts.refresh(one.refresh_token.reveal()).await,
        RefreshError::Invalid
    );
    s.caller(&two.access_token).await.unwrap();
    s.accounts.refresh(two.refresh_token.reveal()).await.unwrap();
    s.accounts.logout(&caller).await.unwrap();
}

#[tokio::test]
async fn a_key_cannot_sign_out() {
    let s = scratch().await;
    let key = s.key("k", Role::Viewer, Plan::Standard).await;
    let caller = s.caller(&key.secret).await.unwrap();
    s.accounts.logout(&caller).await.unwrap();
    s.caller(&key.secret).await.unwrap();
}

#[tokio::test]
async fn a_change_through_this_process_holds_from_its_answer_on() {
    let s = scratch().await;
    let user = s.user("mia", Role::Viewer).await;
    let token = s.login("mia").await.access_token;
    s.caller(&token).await.unwrap();
    s.accounts
        .user_set_role(&home(), user.id, Role::Seller, &[warehouse(1)])
        .await
        .unwrap();
    let caller = s.caller(&token).await.unwrap();
    assert_eq!(
        (caller.role, caller.may_see_warehouse(warehouse(1))),
        (Role::Seller, true)
    );
    s.accounts
        .user_set_role(&home(), user.id, Role::Seller, &[warehouse(2)])
        .await
        .unwrap();
    assert!(!s.caller(&token).await.unwrap().may_see_warehouse(warehouse(1)));
    s.accounts
        .user_set_plan(&home(), user.id, Plan::Premium)
        .await
        .unwrap();
    assert_eq!(s.caller(&token).await.unwrap().plan, Plan::Premium);
    s.accounts.user_disable(&home(), user.id).await.unwrap();
    assert_refused!(s.caller(&token).await, AuthError::Revoked);
}

#[tokio::test]
async fn a_change_to_one_leaves_others_in_memory() {
    let s = scratch().await;
    let (mia, _) = (
        s.user("mia", Role::Viewer).await,
        s.user("tom", Role::Viewer).await,
    );
    let (mias, toms) = (
        s.login("mia").await.access_token,
        s.login("tom").await.access_token,
    );
    s.caller(&mias).await.unwrap();
    s.caller(&toms).await.unwrap();
    s.accounts
        .user_set_plan(&home(), mia.id, Plan::Premium)
        .await
        .unwrap();
    s.login("tom").await;
    assert!(!in_memory(&s.accounts, &mias));
    assert!(in_memory(&s.accounts, &toms));
}

#[tokio::test]
async fn a_change_by_another_process_is_noticed_within_a_second() {
    let s = scratch().await;
    let user = s.user("mia", Role::Viewer).await;
    let key = s.key("k", Role::Viewer, Plan::Standard).await;
    let tokens = [
        s.login("mia").await.access_token,
        s.login("mia").await.access_token,
    ];
    let bearers = [&tokens[0], &tokens[1], &key.secret];
    for bearer in bearers {
        s.caller(bearer).await.unwrap();
    }
    let other = s.other_process().await;
    let session = other.authenticate(tokens[1].reveal()).await.unwrap();

    other
        .user_set_role(&home(), user.id, Role::Manager, &[])
        .await
        .unwrap();
    assert!(
        bearers.iter().all(|bearer| in_memory(&s.accounts, bearer)),
        "nobody has asked yet"
    );
    s.clock.advance_ms(999);
    assert_eq!(s.caller(&tokens[0]).await.unwrap().role, Role::Manager);

    other.logout(&session).await.unwrap();
    s.clock.advance_ms(999);
    assert_refused!(s.caller(&tokens[1]).await, AuthError::Revoked);
    s.caller(&tokens[0]).await.unwrap();

    other.user_disable(&home(), user.id).await.unwrap();
    other.key_revoke(&home(), key.key.id).await.unwrap();
    s.clock.advance_ms(999);
    assert_refused!(s.caller(&tokens[0]).await, AuthError::Revoked);
    assert_refused!(s.caller(&key.secret).await, AuthError::Revoked);
}

#[tokio::test]
async fn a_change_by_hand_in_the_database_is_noticed_too() {
    let s = scratch().await;
    s.user("mia", Role::Admin).await;
    let token = s.login("mia").await.access_token;
    s.caller(&token).await.unwrap();
    s.run_sql("update users set role = 'VIEWER'").await;
    s.clock.advance_ms(999);
    assert_eq!(s.caller(&token).await.unwrap().role, Role::Viewer);
    s.run_sql("delete from sessions").await;
    s.clock.advance_ms(999);
    assert_refused!(s.caller(&token).await, AuthError::Revoked);

    let token = s.login("mia").await.access_token;
    s.caller(&token).await.unwrap();
    s.run_sql("update users set token_version = token_version + 1")
        .await;
    s.clock.advance_ms(999);
    assert_refused!(s.caller(&token).await, AuthError::Revoked);
}

#[tokio::test]
async fn a_clock_set_back_does_not_stop_the_noticing() {
    let s = scratch().await;
    let user = s.user("mia", Role::Viewer).await;
    let token = s.login("mia").await.access_token;
    s.caller(&token).await.unwrap();
    let other = s.other_process().await;
    other.user_disable(&home(), user.id).await.unwrap();
    s.clock.advance_ms(-3_600_000);
    assert_refused!(s.caller(&token).await, AuthError::Revoked);
}

#[tokio::test]
async fn more_callers_than_fit_in_memory_are_served_all_the_same() {
    let s = scratch().await;
    let few = Options {
        callers_cached_max: 4,
        ..options(&s.clock)
    };
    let accounts = s.open(few).await;
    let mut keys = Vec::new();
    for n in 0..40 {
        keys.push(s.key(&format!("k{n}"), Role::Viewer, Plan::Standard).await);
    }
    for _ in 0..2 {
        for key in &keys {
            assert_eq!(
                accounts.authenticate(key.secret.reveal()).await.unwrap().id,
                key.key.id
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_after_a_change_sees_what_was_before_it() {
    let s = scratch().await;
    let user = s.user("mia", Role::Viewer).await;
    let token = s.login("mia").await.access_token;
    // Requests hammer away while plans change; after each answer, the very next request must see the new plan.
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut hammers = Vec::new();
    for _ in 0..3 {
        let (accounts, token, stop) = (s.accounts.clone(), token.clone(), stop.clone());
        hammers.push(tokio::spawn(async move {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                accounts.authenticate(token.reveal()).await.unwrap();
                tokio::task::yield_now().await;
            }
        }));
    }
    for round in 0..100 {
        let plan = if round % 2 == 0 {
            Plan::Premium
        } else {
            Plan::Standard
        };
        s.accounts.user_set_plan(&home(), user.id, plan).await.unwrap();
        assert_eq!(s.caller(&token).await.unwrap().plan, plan, "round {round}");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for hammer in hammers {
        hammer.await.unwrap();
    }
}
