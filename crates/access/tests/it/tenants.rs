//! Tenants: what they may be called, and that nothing crosses from one to another.

use bincard_access::*;

use super::scratch;
use crate::support::*;

#[tokio::test]
async fn a_fresh_installation_has_the_tenant_default() {
    let s = scratch().await;
    let tenants = s.accounts.tenants().await.unwrap();
    assert_eq!(
        tenants,
        [Tenant {
            name: home(),
            created_at: START
        }]
    );
}

#[tokio::test]
async fn tenants_are_added_once_and_listed_by_name() {
    let s = scratch().await;
    s.accounts.tenant_add("zeta").await.unwrap();
    s.accounts.tenant_add("acme-2").await.unwrap();
    assert_refused!(
        s.accounts.tenant_add("zeta").await,
        AccessError::Taken { field: "tenant" }
    );
    let names: Vec<_> = s
        .accounts
        .tenants()
        .await
        .unwrap()
        .into_iter()
        .map(|t| t.name.to_string())
        .collect();
    assert_eq!(names, ["acme-2", "default", "zeta"]);
}

#[test]
fn a_tenant_name_is_safe_as_the_name_of_a_folder() {
    let longest = "a".repeat(63);
    for good in ["a", "acme", "a1-b2-", longest.as_str()] {
        assert_eq!(TenantName::parse(good).unwrap().as_str(), good);
    }
    let too_long = "a".repeat(64);
    for bad in [
        "",
        "1a",
        "-a",
        "A",
        "aB",
        "a b",
        "a.b",
        "..",
        "a/b",
        "a\\b",
        "a\0",
        "ä",
        "a_b",
        too_long.as_str(),
    ] {
        assert_refused!(
            TenantName::parse(bad),
            AccessError::Invalid { field: "tenant", .. }
        );
    }
}

#[tokio::test]
async fn nothing_of_another_tenant_is_found_or_changed() {
    let s = scratch().await;
    let user = s.user("mia", Role::Admin).await;
    let key = s.key("import", Role::Manager, Plan::Service).await;
    let other = s.accounts.tenant_add("other").await.unwrap().name;

    assert_eq!(s.accounts.user(&other, user.id).await.unwrap(), None);
    assert_eq!(s.accounts.users(&other, 0, 10).await.unwrap().total_count, 0);
    assert_eq!(s.accounts.keys(&other, 0, 10).await.unwrap().total_count, 0);
    let no_user =
        |result: Result<(), AccessError>| assert_refused!(result, AccessError::NotFound { what: "user" });
    no_user(s.accounts.user_disable(&other, user.id).await);
    no_user(s.accounts.user_enable(&other, user.id).await);
    no_user(
        s.accounts
            .user_set_password(&other, user.id, "another password")
            .await,
    );
    no_user(s.accounts.user_set_role(&other, user.id, Role::Viewer, &[]).await);
    no_user(s.accounts.user_set_plan(&other, user.id, Plan::Service).await);
    assert_refused!(
        s.accounts.key_revoke(&other, key.key.id).await,
        AccessError::NotFound { what: "key" }
    );

    assert_eq!(s.accounts.user(&home(), user.id).await.unwrap(), Some(user));
    s.caller(&key.secret).await.unwrap();
}

#[tokio::test]
async fn users_and_keys_need_a_tenant_that_exists() {
    let s = scratch().await;
    let nowhere = TenantName::parse("nowhere").unwrap();
    let user = s
        .accounts
        .user_add(&nowhere, new_user("a", "a@example.com", Role::Viewer))
        .await;
    assert_refused!(user, AccessError::NotFound { what: "tenant" });
    let key = s
        .accounts
        .key_create(&nowhere, new_key("a", Role::Viewer, Plan::Standard))
        .await;
    assert_refused!(key, AccessError::NotFound { what: "tenant" });
}
