//! API keys: what they are, how they end, when they were used.

use bincard_access::*;

use super::scratch;
use crate::support::*;

#[tokio::test]
async fn a_key_acts_as_a_service_user_of_its_own() {
    let s = scratch().await;
    let maker = s.user("boss", Role::Admin).await;
    let new = NewKey {
        warehouses: &[warehouse(2), warehouse(1)],
        created_by: Some(maker.id),
        ..new_key("till 4", Role::Seller, Plan::Service)
    };
    let issued = s.accounts.key_create(&home(), new).await.unwrap();
    assert!(issued.secret.reveal().starts_with("bck_"));
    let caller = s.caller(&issued.secret).await.unwrap();
    assert_eq!(
        (caller.id, caller.kind, &*caller.name),
        (issued.key.id, CallerKind::Key, "till 4")
    );
    assert_eq!(
        (caller.role, caller.plan, caller.tenant.as_str()),
        (Role::Seller, Plan::Service, "default")
    );
    assert_eq!(&*caller.warehouses, [warehouse(1), warehouse(2)]);
    assert_eq!(
        (caller.email.as_deref(), caller.alias, caller.expires_at),
        (None, None, None)
    );
    assert_eq!(
        s.accounts.keys(&home(), 0, 10).await.unwrap(),
        Page {
            content: vec![issued.key],
            total_count: 1
        }
    );
}

#[tokio::test]
async fn only_the_whole_key_works() {
    let s = scratch().await;
    let issued = s.key("k", Role::Viewer, Plan::Standard).await;
    let other = s.key("other", Role::Viewer, Plan::Standard).await;
    let (text, other) = (issued.secret.reveal(), other.secret.reveal());
    let flipped = if text.ends_with('0') { '1' } else { '0' };
    let id_of_one_secret_of_another = format!("{}{}", &text[..36], &other[36..]);
    let cases = [
        format!("{}{flipped}", &text[..text.len() - 1]),
        text[..text.len() - 1].to_owned(),
        format!("{text}0"),
        text.to_uppercase(),
        "bck_".to_owned(),
        "bck__".to_owned(),
        format!("bck_{}_{}", "0".repeat(32), "0".repeat(64)),
        format!("bck_{}_{}", "é".repeat(16), "0".repeat(64)),
        id_of_one_secret_of_another,
    ];
    for case in cases {
        assert_refused!(s.accounts.authenticate(&case).await, AuthError::Invalid);
    }
    s.accounts.authenticate(text).await.unwrap();
}

#[tokio::test]
async fn a_revoked_key_stops_at_once_and_stays_in_the_list() {
    let s = scratch().await;
    let issued = s.key("k", Role::Viewer, Plan::Standard).await;
    s.caller(&issued.secret).await.unwrap();
    s.clock.advance_ms(10);
    s.accounts.key_revoke(&home(), issued.key.id).await.unwrap();
    assert_refused!(s.caller(&issued.secret).await, AuthError::Revoked);
    s.clock.advance_ms(10);
    s.accounts.key_revoke(&home(), issued.key.id).await.unwrap();
    let listed = s.accounts.keys(&home(), 0, 10).await.unwrap().content;
    assert_eq!(
        listed[0].revoked_at,
        Some(START.plus_ms(10)),
        "the first revocation counts"
    );
    let unknown = s.accounts.key_revoke(&home(), warehouse(1)).await;
    assert_refused!(unknown, AccessError::NotFound { what: "key" });
}

#[tokio::test]
async fn a_key_expires_to_the_millisecond_in_memory_and_out_of_it() {
    let s = scratch().await;
    let at = START.plus_ms(400);
    let new = NewKey {
        expires_at: Some(at),
        ..new_key("k", Role::Viewer, Plan::Standard)
    };
    let issued = s.accounts.key_create(&home(), new).await.unwrap();
    assert_eq!(s.caller(&issued.secret).await.unwrap().expires_at, Some(at));
    s.clock.advance_ms(399);
    s.accounts
        .authenticate_in_memory(issued.secret.reveal())
        .unwrap()
        .unwrap();
    s.clock.advance_ms(1);
    let in_memory = s.accounts.authenticate_in_memory(issued.secret.reveal()).unwrap();
    assert_refused!(in_memory, AuthError::Expired { at: told } if told == at);
    let elsewhere = s.other_process().await.authenticate(issued.secret.reveal()).await;
    assert_refused!(elsewhere, AuthError::Expired { at: told } if told == at);
    let past = NewKey {
        expires_at: Some(at),
        ..new
    };
    assert_refused!(
        s.accounts.key_create(&home(), past).await,
        AccessError::Invalid {
            field: "expires_at",
            ..
        }
    );
}

#[tokio::test]
async fn the_last_use_is_noted_once_a_minute() {
    let s = scratch().await;
    let issued = s.key("k", Role::Viewer, Plan::Standard).await;
    let noted = async || {
        s.caller(&issued.secret).await.unwrap();
        s.accounts.upkeep().await.unwrap();
        s.accounts.keys(&home(), 0, 1).await.unwrap().content[0].last_used_at
    };
    assert_eq!(noted().await, Some(START));
    s.clock.advance_ms(59_999);
    assert_eq!(noted().await, Some(START));
    s.clock.advance_ms(1);
    assert_eq!(noted().await, Some(START.plus_s(60)));
    // A process that has yet to see the key starts from what is noted.
    s.clock.advance_ms(1000);
    let other = s.other_process().await;
    other.authenticate(issued.secret.reveal()).await.unwrap();
    other.upkeep().await.unwrap();
    assert_eq!(noted().await, Some(START.plus_s(60)));
}

#[tokio::test]
async fn noting_a_use_does_not_put_callers_out_of_memory() {
    let s = scratch().await;
    let issued = s.key("k", Role::Viewer, Plan::Standard).await;
    s.caller(&issued.secret).await.unwrap();
    s.accounts.upkeep().await.unwrap();
    assert!(
        s.accounts
            .authenticate_in_memory(issued.secret.reveal())
            .is_some()
    );
}

#[tokio::test]
async fn closing_writes_down_the_last_uses() {
    let s = scratch().await;
    let issued = s.key("k", Role::Viewer, Plan::Standard).await;
    s.caller(&issued.secret).await.unwrap();
    s.accounts.close().await.unwrap();
    let reopened = s.other_process().await;
    assert_eq!(
        reopened.keys(&home(), 0, 1).await.unwrap().content[0].last_used_at,
        Some(START)
    );
}

#[tokio::test]
async fn a_key_needs_a_name_and_warehouses_only_for_a_seller() {
    let s = scratch().await;
    for name in ["", "  ", "a\tb"] {
        let refused = s
            .accounts
            .key_create(&home(), new_key(name, Role::Viewer, Plan::Standard))
            .await;
        assert_refused!(refused, AccessError::Invalid { field: "name", .. });
    }
    let one = [warehouse(1)];
    let refused = s
        .accounts
        .key_create(
            &home(),
            NewKey {
                warehouses: &one,
                ..new_key("k", Role::Admin, Plan::Service)
            },
        )
        .await;
    assert_refused!(
        refused,
        AccessError::Invalid {
            field: "warehouses",
            ..
        }
    );
}
