//! Names by id.

use bincard_access::*;
use uuid::Uuid;

use super::scratch;
use crate::support::*;

#[tokio::test]
async fn names_of_disabled_users_and_revoked_keys_are_still_known() {
    let s = scratch().await;
    let user = s.user("mia", Role::Viewer).await;
    let key = s.key("till 4", Role::Manager, Plan::Service).await.key;
    s.accounts.user_disable(&home(), user.id).await.unwrap();
    s.accounts.key_revoke(&home(), key.id).await.unwrap();
    assert_eq!(s.accounts.username_in_memory(user.id), None);
    assert_eq!(
        s.accounts.username(user.id).await.unwrap().as_deref(),
        Some("mia")
    );
    assert_eq!(
        s.accounts.username(key.id).await.unwrap().as_deref(),
        Some("till 4")
    );
    assert_eq!(s.accounts.username_in_memory(user.id).as_deref(), Some("mia"));
    assert_eq!(s.accounts.username(Uuid::nil()).await.unwrap(), None);
}

#[tokio::test]
async fn many_names_come_at_once() {
    let s = scratch().await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(
            s.key(&format!("key {n}"), Role::Viewer, Plan::Standard)
                .await
                .key
                .id,
        );
    }
    s.accounts.username(ids[3]).await.unwrap();
    let mut asked: Vec<Uuid> = (0..1200).map(Uuid::from_u128).collect();
    asked.extend(&ids);
    asked.extend(&ids);
    let names = s.accounts.usernames(&asked).await.unwrap();
    assert_eq!(names.len(), 20);
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(*names[id], format!("key {n}"));
    }
    assert!(s.accounts.usernames(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_name_added_by_another_process_is_found() {
    let s = scratch().await;
    let other = s.other_process().await;
    let user = other
        .user_add(&home(), new_user("mia", "mia@example.com", Role::Viewer))
        .await
        .unwrap();
    assert_eq!(
        s.accounts.username(user.id).await.unwrap().as_deref(),
        Some("mia")
    );
}
