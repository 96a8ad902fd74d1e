//! What each role may do: the whole table.

use bincard_access::*;

use super::scratch;
use crate::support::*;

#[tokio::test]
async fn each_role_may_do_what_the_table_says() {
    let s = scratch().await;
    let (own, foreign) = (warehouse(1), warehouse(2));
    // Role, administer, catalogue, stock, stock at own, stock at foreign, see own, see foreign, bound.
    let table = [
        (Role::Admin, [true, true, true, true, true, true, true, false]),
        (Role::Manager, [false, true, true, true, true, true, true, false]),
        (Role::Seller, [false, false, true, true, false, true, false, true]),
        (
            Role::Viewer,
            [false, false, false, false, false, true, true, false],
        ),
    ];
    for (role, expected) in table {
        let warehouses: &[_] = if role == Role::Seller { &[own] } else { &[] };
        let new = NewKey {
            warehouses,
            ..new_key(role.as_str(), role, Plan::Standard)
        };
        let key = s.accounts.key_create(&home(), new).await.unwrap();
        let caller = s.caller(&key.secret).await.unwrap();
        let may = [
            caller.is_admin(),
            caller.may_write_catalogue(),
            caller.may_write_stock(),
            caller.may_write_stock_at(own),
            caller.may_write_stock_at(foreign),
            caller.may_see_warehouse(own),
            caller.may_see_warehouse(foreign),
            caller.is_bound_to_warehouses(),
        ];
        assert_eq!(may, expected, "{role}");
        assert_eq!(caller.may_act_for_others(), caller.is_admin(), "{role}");
        let leads = role == Role::Admin || role == Role::Manager;
        assert_eq!(caller.may_close_transfers(), leads, "{role}");
    }
}

#[tokio::test]
async fn a_seller_without_warehouses_sees_none() {
    let s = scratch().await;
    s.user("k", Role::Seller).await;
    let caller = s.caller(&s.login("k").await.access_token).await.unwrap();
    assert!(!caller.may_see_warehouse(warehouse(1)) && !caller.may_write_stock_at(warehouse(1)));
}

#[test]
fn roles_and_plans_are_read_as_they_are_written() {
    for role in [Role::Admin, Role::Manager, Role::Seller, Role::Viewer] {
        assert_eq!(Role::parse(role.as_str()).unwrap(), role);
        assert_eq!(Role::parse(&role.as_str().to_lowercase()).unwrap(), role);
    }
    for plan in [Plan::Standard, Plan::Premium, Plan::Service] {
        assert_eq!(Plan::parse(plan.as_str()).unwrap(), plan);
    }
    assert_refused!(Role::parse("ROOT"), AccessError::Invalid { field: "role", .. });
    assert_refused!(Plan::parse(""), AccessError::Invalid { field: "plan", .. });
}
