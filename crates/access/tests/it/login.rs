//! Signing in: by what, with which answer, after how much work.

use bincard_access::*;
use tokio::task::JoinSet;

use super::scratch;
use crate::support::*;

#[tokio::test]
async fn a_user_signs_in_by_email_or_username_whatever_the_case() {
    let s = scratch().await;
    let user = s.user("mia", Role::Manager).await;
    for login in ["mia", "MIA", "mia@example.com", "Mia@Example.com"] {
        let login = s.accounts.login(login, PASSWORD).await.unwrap();
        assert_eq!(login.user, user);
        assert_eq!(login.tokens.expires_in_s, 900);
        let caller = s.caller(&login.tokens.access_token).await.unwrap();
        assert_eq!(
            (caller.id, caller.alias, caller.kind),
            (user.id, Some(1), CallerKind::User)
        );
        assert_eq!(
            (&*caller.name, caller.email.as_deref()),
            ("mia", Some("mia@example.com"))
        );
        assert_eq!((caller.role, caller.plan), (Role::Manager, Plan::Standard));
        assert_eq!(caller.expires_at, Some(START.plus_s(900)));
    }
}

#[tokio::test]
async fn an_unknown_user_costs_and_says_the_same_as_a_wrong_password() {
    let s = scratch().await;
    s.user("mia", Role::Viewer).await;
    let gone = s.user("gone", Role::Viewer).await;
    s.accounts.user_disable(&home(), gone.id).await.unwrap();
    let mut answers = Vec::new();
    let cases = [
        ("mia", "wrong password"),
        ("mia", ""),
        ("nobody", PASSWORD),
        ("", ""),
        ("no@body.com", PASSWORD),
        ("gone", PASSWORD),
    ];
    for (login, password) in cases {
        let before = s.accounts.password_checks_count();
        let refused = s.accounts.login(login, password).await.unwrap_err();
        assert!(matches!(refused, LoginError::Refused), "{login}: {refused:?}");
        assert_eq!(
            s.accounts.password_checks_count(),
            before + 1,
            "{login}: one argon2 check"
        );
        answers.push(refused.to_string());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn the_hash_is_argon2id_and_follows_the_cost_in_force() {
    let s = scratch().await;
    s.user("mia", Role::Viewer).await;
    let hash = || s.sql_text("select password_hash from users");
    assert!(
        hash().await.starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
        "{}",
        hash().await
    );

    let dearer = Options {
        password_cost: PasswordCost {
            memory_kib: 16,
            passes: 2,
        },
        ..options(&s.clock)
    };
    let accounts = s.open(dearer).await;
    accounts.login("mia", "wrong password").await.unwrap_err();
    assert!(hash().await.contains("m=8,"), "a wrong password changes nothing");
    accounts.login("mia", PASSWORD).await.unwrap();
    assert!(
        hash().await.starts_with("$argon2id$v=19$m=16,t=2,p=1$"),
        "{}",
        hash().await
    );
    accounts.login("mia", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_changed_password_ends_every_token_of_the_user_at_once() {
    let s = scratch().await;
    let user = s.user("mia", Role::Viewer).await;
    let (one, two) = (s.login("mia").await, s.login("mia").await);
    s.caller(&one.access_token).await.unwrap();
    s.accounts
        .user_set_password(&home(), user.id, "a new password")
        .await
        .unwrap();
    for tokens in [&one, &two] {
        assert_refused!(s.caller(&tokens.access_token).await, AuthError::Revoked);
        assert_refused!(
            s.accounts.refresh(tokens.refresh_token.reveal()).await,
            RefreshError::Invalid
        );
    }
    assert_refused!(s.accounts.login("mia", PASSWORD).await, LoginError::Refused);
    let three = s.accounts.login("mia", "a new password").await.unwrap().tokens;
    s.caller(&three.access_token).await.unwrap();
}

#[tokio::test]
async fn disabling_ends_every_token_and_enabling_revives_none() {
    let s = scratch().await;
    let user = s.user("mia", Role::Viewer).await;
    let tokens = s.login("mia").await;
    s.caller(&tokens.access_token).await.unwrap();
    s.accounts.user_disable(&home(), user.id).await.unwrap();
    assert_refused!(s.caller(&tokens.access_token).await, AuthError::Revoked);
    s.accounts.user_enable(&home(), user.id).await.unwrap();
    assert_refused!(s.caller(&tokens.access_token).await, AuthError::Revoked);
    assert_refused!(
        s.accounts.refresh(tokens.refresh_token.reveal()).await,
        RefreshError::Invalid
    );
    s.login("mia").await;
}

#[tokio::test]
async fn a_login_that_races_a_new_password_leaves_nobody_signed_in() {
    let s = scratch().await;
    // Checking this user's password takes far longer than setting another one.
    let dear = Options {
        password_cost: PasswordCost {
            memory_kib: 32 * 1024,
            passes: 2,
        },
        ..options(&s.clock)
    };
    let slow = s.open(dear).await;
    let user = slow
        .user_add(&home(), new_user("mia", "mia@example.com", Role::Viewer))
        .await
        .unwrap();
    let tenant = home();
    let set = s.accounts.user_set_password(&tenant, user.id, "a new password");
    let (login, set) = tokio::join!(slow.login("mia", PASSWORD), set);
    set.unwrap();
    match login {
        Err(LoginError::Refused) => {}
        Err(other) => panic!("{other:?}"),
        // It was through before the password was set, and so has ended with it.
        Ok(login) => {
            let tokens = login.tokens;
            assert_refused!(
                slow.refresh(tokens.refresh_token.reveal()).await,
                RefreshError::Invalid
            );
            assert_refused!(s.caller(&tokens.access_token).await, AuthError::Revoked);
        }
    }
}

#[tokio::test]
async fn more_passwords_at_once_than_may_wait_are_turned_away() {
    let s = scratch().await;
    let dear = Options {
        password_cost: PasswordCost {
            memory_kib: 4096,
            passes: 1,
        },
        ..options(&s.clock)
    };
    let accounts = s.open(dear).await;
    let mut adding = JoinSet::new();
    for n in 0..400 {
        let accounts = accounts.clone();
        adding.spawn(async move {
            let (name, email) = (format!("u{n}"), format!("u{n}@example.com"));
            accounts
                .user_add(&home(), new_user(&name, &email, Role::Viewer))
                .await
                .map(drop)
        });
    }
    let results = adding.join_all().await;
    let added = results.iter().filter(|r| r.is_ok()).count();
    let busy = results
        .iter()
        .filter(|r| matches!(r, Err(AccessError::Busy)))
        .count();
    assert_eq!(added + busy, 400, "{results:?}");
    assert!(added >= 256 && busy > 0, "{added} added, {busy} turned away");
}

#[tokio::test]
async fn secrets_do_not_show_in_debug_output() {
    let s = scratch().await;
    s.user("mia", Role::Viewer).await;
    let login = s.accounts.login("mia", PASSWORD).await.unwrap();
    let key = s.key("k", Role::Viewer, Plan::Standard).await;
    let shown = format!("{login:?} {key:?}");
    for secret in [
        &login.tokens.access_token,
        &login.tokens.refresh_token,
        &key.secret,
    ] {
        assert!(!shown.contains(secret.reveal()), "{shown}");
    }
}
