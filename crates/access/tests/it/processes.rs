//! Several processes, or nodes, that share the accounts at once.

use bincard_access::*;

use super::scratch;
use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_write_at_once() {
    let s = scratch().await;
    let mut writers = Vec::new();
    for process in 0..3 {
        let accounts = s.other_process().await;
        writers.push(tokio::spawn(async move {
            for n in 0..10 {
                let (name, email) = (format!("u{process}-{n}"), format!("u{process}-{n}@example.com"));
                accounts
                    .user_add(&home(), new_user(&name, &email, Role::Viewer))
                    .await
                    .unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let users = s.accounts.users(&home(), 0, 100).await.unwrap().content;
    assert_eq!(
        users.iter().map(|user| user.alias).collect::<Vec<_>>(),
        (1..=30).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let s = scratch().await;
    let user = s.user("mia", Role::Viewer).await;
    let tokens = s.login("mia").await;
    s.accounts.close().await.unwrap();
    let reopened = s.other_process().await;
    assert_eq!(
        reopened
            .authenticate(tokens.access_token.reveal())
            .await
            .unwrap()
            .id,
        user.id
    );
    reopened.refresh(tokens.refresh_token.reveal()).await.unwrap();
    assert_eq!(reopened.tenants().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_admins_demoted_at_once_by_two_processes_one_remains() {
    let s = scratch().await;
    let other = s.other_process().await;
    let (a, b) = (s.user("a", Role::Admin).await, s.user("b", Role::Admin).await);
    for round in 0..40 {
        let demote = |accounts: &Accounts, id| {
            let accounts = accounts.clone();
            tokio::spawn(async move {
                match round % 2 {
                    0 => accounts.user_set_role(&home(), id, Role::Manager, &[]).await,
                    _ => accounts.user_disable(&home(), id).await,
                }
            })
        };
        let (here, there) = (demote(&s.accounts, a.id), demote(&other, b.id));
        let outcomes = (here.await.unwrap(), there.await.unwrap());
        let demoted = match outcomes {
            (Ok(()), Err(AccessError::LastAdmin)) => a.id,
            (Err(AccessError::LastAdmin), Ok(())) => b.id,
            others => panic!("round {round}: {others:?}"),
        };
        other.user_enable(&home(), demoted).await.unwrap();
        other
            .user_set_role(&home(), demoted, Role::Admin, &[])
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replaced_token_used_at_two_processes_at_once_ends_the_session_at_both() {
    let s = scratch().await;
    s.user("mia", Role::Viewer).await;
    let other = s.other_process().await;
    for _ in 0..10 {
        let first = s.login("mia").await;
        let second = s.accounts.refresh(first.refresh_token.reveal()).await.unwrap();
        let third = other.refresh(second.refresh_token.reveal()).await.unwrap();
        let replaced = first.refresh_token.reveal();
        match tokio::join!(s.accounts.refresh(replaced), other.refresh(replaced)) {
            (Err(RefreshError::Reused), Err(RefreshError::Invalid))
            | (Err(RefreshError::Invalid), Err(RefreshError::Reused)) => {}
            others => panic!("{others:?}"),
        }
        for accounts in [&s.accounts, &other] {
            let newest = accounts.refresh(third.refresh_token.reveal()).await;
            assert_refused!(newest, RefreshError::Invalid);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_processes_that_start_at_once_one_makes_the_first_admin() {
    let s = scratch().await;
    let mut starting = Vec::new();
    for _ in 0..6 {
        let accounts = s.other_process().await;
        starting.push(tokio::spawn(async move {
            accounts.ensure_first_admin(None, None).await
        }));
    }
    let mut made_count = 0;
    for started in starting {
        if let FirstAdmin::Created { .. } = started.await.unwrap().unwrap() {
            made_count += 1;
        }
    }
    assert_eq!(made_count, 1);
    assert_eq!(s.accounts.users(&home(), 0, 10).await.unwrap().total_count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_asks_again_and_again_misses_no_change_of_processes_that_write_at_once() {
    const KEYS: usize = 24;
    let s = scratch().await;
    let mut keys = Vec::new();
    for n in 0..KEYS {
        keys.push(s.key(&format!("k{n}"), Role::Viewer, Plan::Standard).await);
    }
    let watching = s.other_process().await;
    for key in &keys {
        watching.authenticate(key.secret.reveal()).await.unwrap();
    }
    let mut writers = Vec::new();
    for keys in keys.chunks(KEYS / 3) {
        let (accounts, ids) = (s.other_process().await, keys.iter().map(|key| key.key.id));
        let ids: Vec<_> = ids.collect();
        writers.push(tokio::spawn(async move {
            for id in ids {
                accounts.key_revoke(&home(), id).await.unwrap();
            }
        }));
    }
    // It asks in the middle of their changes. What it sees must be a beginning of them, with nothing left out.
    let last = keys[KEYS - 1].secret.reveal();
    while writers.iter().any(|writer| !writer.is_finished()) {
        s.clock.advance_ms(500);
        // Revoked or not yet.
        let _answer = watching.authenticate(last).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    s.clock.advance_ms(999);
    for key in &keys {
        assert_refused!(
            watching.authenticate(key.secret.reveal()).await,
            AuthError::Revoked
        );
    }
}
