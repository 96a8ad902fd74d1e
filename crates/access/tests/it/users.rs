//! Users: adding, listing, changing; the first ADMIN and the last.

use bincard_access::*;
use uuid::Uuid;

use super::scratch;
use crate::support::*;

#[tokio::test]
async fn a_user_is_found_as_it_was_added() {
    let s = scratch().await;
    let warehouses = [warehouse(9), warehouse(3), warehouse(9)];
    let new = NewUser {
        warehouses: &warehouses,
        ..new_user("Mia.K", "Mia@Example.COM", Role::Seller)
    };
    let added = s.accounts.user_add(&home(), new).await.unwrap();
    let expected = User {
        id: added.id,
        alias: 1,
        tenant: home(),
        email: "mia@example.com".into(),
        username: "Mia.K".into(),
        first_name: "John".into(),
        last_name: "Doe".into(),
        role: Role::Seller,
        warehouses: [warehouse(3), warehouse(9)].into(),
        plan: Plan::Standard,
        active: true,
        created_at: START,
    };
    assert_eq!(added, expected);
    assert_eq!(
        s.accounts.user(&home(), added.id).await.unwrap(),
        Some(expected.clone())
    );
    assert_eq!(
        s.accounts.user_find("MIA@example.com").await.unwrap(),
        Some(expected.clone())
    );
    assert_eq!(s.accounts.user_find("mia.k").await.unwrap(), Some(expected));
    assert_eq!(s.accounts.user_find("mia").await.unwrap(), None);
    assert_eq!(s.accounts.user(&home(), Uuid::nil()).await.unwrap(), None);
}

#[tokio::test]
async fn aliases_are_dense_within_each_tenant() {
    let s = scratch().await;
    let other = s.accounts.tenant_add("other").await.unwrap().name;
    let mut aliases = Vec::new();
    for (n, tenant) in [&home(), &other, &home(), &other, &home()]
        .into_iter()
        .enumerate()
    {
        let (name, email) = (format!("u{n}"), format!("u{n}@example.com"));
        aliases.push(
            s.accounts
                .user_add(tenant, new_user(&name, &email, Role::Viewer))
                .await
                .unwrap()
                .alias,
        );
        // A refused one leaves no gap.
        let again = s
            .accounts
            .user_add(tenant, new_user(&name, "x@example.com", Role::Viewer))
            .await;
        assert_refused!(again, AccessError::Taken { field: "username" });
    }
    assert_eq!(aliases, [1, 1, 2, 2, 3]);
}

#[tokio::test]
async fn email_and_username_are_unique_over_all_tenants_whatever_their_case() {
    let s = scratch().await;
    let other = s.accounts.tenant_add("other").await.unwrap().name;
    s.user("mia", Role::Viewer).await;
    let email = s
        .accounts
        .user_add(&other, new_user("mia2", "MIA@example.com", Role::Viewer))
        .await;
    assert_refused!(email, AccessError::Taken { field: "email" });
    let username = s
        .accounts
        .user_add(&other, new_user("MIA", "mia2@example.com", Role::Viewer))
        .await;
    assert_refused!(username, AccessError::Taken { field: "username" });
}

#[tokio::test]
async fn what_does_not_fit_is_refused_by_field() {
    let s = scratch().await;
    let long = "a".repeat(65);
    let good = new_user("mia", "mia@example.com", Role::Viewer);
    let one = [warehouse(1)];
    let cases = [
        ("email", NewUser { email: "mia", ..good }),
        (
            "email",
            NewUser {
                email: "@example.com",
                ..good
            },
        ),
        (
            "email",
            NewUser {
                email: "a b@example.com",
                ..good
            },
        ),
        (
            "email",
            NewUser {
                email: "a@b@c",
                ..good
            },
        ),
        ("username", NewUser { username: "", ..good }),
        (
            "username",
            NewUser {
                username: "a@b",
                ..good
            },
        ),
        (
            "username",
            NewUser {
                username: ".a",
                ..good
            },
        ),
        (
            "username",
            NewUser {
                username: &long,
                ..good
            },
        ),
        (
            "first_name",
            NewUser {
                first_name: "a\nb",
                ..good
            },
        ),
        (
            "password",
            NewUser {
                password: "1234567",
                ..good
            },
        ),
        (
            "warehouses",
            NewUser {
                warehouses: &one,
                ..good
            },
        ),
    ];
    for (expected, new) in cases {
        assert_refused!(s.accounts.user_add(&home(), new).await, AccessError::Invalid { field, .. } if field == expected);
    }
    assert_eq!(s.accounts.users(&home(), 0, 10).await.unwrap().total_count, 0);
}

#[tokio::test]
async fn users_are_listed_by_page() {
    let s = scratch().await;
    for n in 0..5 {
        s.user(&format!("u{n}"), Role::Viewer).await;
    }
    let page = s.accounts.users(&home(), 1, 2).await.unwrap();
    assert_eq!(page.total_count, 5);
    assert_eq!(page.content.iter().map(|u| u.alias).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(s.accounts.users(&home(), 3, 2).await.unwrap().content, []);
    assert_eq!(
        s.accounts.users(&home(), u32::MAX, 500).await.unwrap().content,
        []
    );
    assert_refused!(
        s.accounts.users(&home(), 0, 0).await,
        AccessError::Invalid { field: "size", .. }
    );
    assert_refused!(
        s.accounts.users(&home(), 0, 501).await,
        AccessError::Invalid { field: "size", .. }
    );
}

#[tokio::test]
async fn the_first_admin_is_made_once_with_a_password_of_its_own() {
    let s = scratch().await;
    let FirstAdmin::Created {
        user,
        password: Some(password),
    } = s.accounts.ensure_first_admin(None, None).await.unwrap()
    else {
        panic!("an empty installation gets an ADMIN with a password");
    };
    assert_eq!(
        (user.role, user.plan, user.tenant.clone()),
        (Role::Admin, Plan::Service, home())
    );
    assert!(password.reveal().len() >= 20, "{}", password.reveal());
    assert!(!password.reveal().contains(['0', 'O', '1', 'l', 'I']));
    assert_eq!(
        s.accounts.login("admin", password.reveal()).await.unwrap().user,
        user
    );
    let again = s
        .accounts
        .ensure_first_admin(Some("other@example.com"), None)
        .await
        .unwrap();
    assert!(matches!(again, FirstAdmin::NotNeeded));
}

#[tokio::test]
async fn the_first_admin_may_be_given() {
    let s = scratch().await;
    let made = s
        .accounts
        .ensure_first_admin(Some("Boss@Example.com"), Some(PASSWORD))
        .await
        .unwrap();
    let FirstAdmin::Created { user, password: None } = made else {
        panic!("{made:?}")
    };
    assert_eq!(user.email, "boss@example.com");
    s.accounts.login("boss@example.com", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn of_two_processes_that_start_at_once_one_makes_the_first_admin() {
    let s = scratch().await;
    let other = s.other_process().await;
    let (a, b) = tokio::join!(
        s.accounts.ensure_first_admin(None, None),
        other.ensure_first_admin(None, None)
    );
    let made = [a.unwrap(), b.unwrap()]
        .iter()
        .filter(|m| matches!(m, FirstAdmin::Created { .. }))
        .count();
    assert_eq!(made, 1);
    assert_eq!(s.accounts.users(&home(), 0, 10).await.unwrap().total_count, 1);
}

#[tokio::test]
async fn a_tenant_keeps_its_last_active_admin() {
    let s = scratch().await;
    let (a, b) = (s.user("a", Role::Admin).await, s.user("b", Role::Admin).await);
    s.accounts.user_disable(&home(), a.id).await.unwrap();
    assert_refused!(
        s.accounts.user_disable(&home(), b.id).await,
        AccessError::LastAdmin
    );
    let demoted = s.accounts.user_set_role(&home(), b.id, Role::Manager, &[]).await;
    assert_refused!(demoted, AccessError::LastAdmin);
    let b_now = s.accounts.user(&home(), b.id).await.unwrap().unwrap();
    assert!(b_now.active && b_now.role == Role::Admin);
    s.accounts.user_enable(&home(), a.id).await.unwrap();
    s.accounts.user_disable(&home(), b.id).await.unwrap();
}

#[tokio::test]
async fn role_and_plan_change_together_with_what_comes_with_them() {
    let s = scratch().await;
    let user = s.user("mia", Role::Viewer).await;
    s.accounts
        .user_set_role(&home(), user.id, Role::Seller, &[warehouse(1)])
        .await
        .unwrap();
    s.accounts
        .user_set_plan(&home(), user.id, Plan::Premium)
        .await
        .unwrap();
    let now = s.accounts.user(&home(), user.id).await.unwrap().unwrap();
    assert_eq!(
        (now.role, &*now.warehouses, now.plan),
        (Role::Seller, &[warehouse(1)][..], Plan::Premium)
    );
    s.accounts
        .user_set_role(&home(), user.id, Role::Manager, &[])
        .await
        .unwrap();
    let now = s.accounts.user(&home(), user.id).await.unwrap().unwrap();
    assert_eq!((now.role, &*now.warehouses), (Role::Manager, &[][..]));
}
