//! Transfers as their callers see them: dispatched, received in part, damaged, short, closed, and refused.

use axum::http::Method;
use bincard_access::Role;
use serde_json::{Value, json};

use crate::support::{Answer, Server, uuid};

const TRANSFERS: &str = "/api/v1/transfers";

struct Chain {
    server: Server,
    north: String,
    south: String,
    variants: [String; 2],
}

impl Chain {
    /// Two warehouses, and ten units each of two variants at the first.
    async fn open() -> Chain {
        let server = Server::start().await;
        let (north, south) = (server.warehouse("NORTH").await, server.warehouse("SOUTH").await);
        let variants = [server.variant("A").await, server.variant("B").await];
        for variant in &variants {
            server.receive(&north, variant, 10).await;
        }
        Chain {
            server,
            north,
            south,
            variants,
        }
    }

    fn lines(&self, quantities: &[i64]) -> Value {
        let line = |(variant, quantity)| json!({"variantId": variant, "quantity": quantity});
        self.variants.iter().zip(quantities).map(line).collect()
    }

    /// Received, damaged and short of each.
    fn found(&self, quantities: &[[i64; 3]]) -> Value {
        let line = |(variant, [received, damaged, short]): (&String, &[i64; 3])| json!({"variantId": variant, "received": received, "damaged": damaged, "short": short});
        let lines: Value = self.variants.iter().zip(quantities).map(line).collect();
        json!({"lines": lines})
    }

    fn shipment(&self, quantities: &[i64]) -> Value {
        json!({"fromWarehouseId": self.north, "toWarehouseId": self.south, "lines": self.lines(quantities)})
    }

    async fn ask(&self, body: &Value) -> Answer {
        self.server.post(TRANSFERS, &self.server.manager, body).await
    }

    async fn dispatch(&self, quantities: &[i64]) -> Value {
        self.ask(&self.shipment(quantities)).await.expect(201).json()
    }

    async fn step(&self, id: &Value, step: &str, body: Option<&Value>) -> Answer {
        self.step_as(&self.server.manager, id, step, body).await
    }

    async fn step_as(&self, token: &str, id: &Value, step: &str, body: Option<&Value>) -> Answer {
        let path = format!("{TRANSFERS}/{}/{step}", id.as_str().unwrap());
        self.server.call(Method::POST, &path, token, body).await
    }

    async fn now(&self, id: &Value) -> Value {
        let path = format!("{TRANSFERS}/{}", id.as_str().unwrap());
        self.server
            .fetch_now(&path, &self.server.viewer)
            .await
            .expect(200)
            .json()
    }

    /// Sent, received, damaged, short, written off and in transit, of each line.
    async fn units(&self, id: &Value) -> Vec<[i64; 6]> {
        units(&self.now(id).await)
    }

    /// Available and held.
    async fn stock(&self, warehouse: &str, variant: usize) -> [i64; 2] {
        let path = format!(
            "/api/v1/stock?warehouseId={warehouse}&variantId={}",
            self.variants[variant]
        );
        let stock = self
            .server
            .fetch_now(&path, &self.server.viewer)
            .await
            .expect(200)
            .json();
        let row = &stock["content"][0];
        ["available", "held"].map(|bucket| row[bucket].as_i64().unwrap_or(0))
    }

    async fn listed(&self, query: &str, token: &str) -> Answer {
        self.server
            .fetch_now(&format!("{TRANSFERS}?{query}"), token)
            .await
    }

    async fn ids(&self, query: &str) -> Vec<Value> {
        let page = self.listed(query, &self.server.viewer).await.expect(200).json();
        let rows = page["content"].as_array().unwrap().clone();
        rows.into_iter().map(|row| row["id"].clone()).collect()
    }
}

fn units(transfer: &Value) -> Vec<[i64; 6]> {
    let fields = ["sent", "received", "damaged", "short", "writtenOff", "inTransit"];
    let lines = transfer["lines"].as_array().unwrap().iter();
    lines
        .map(|line| fields.map(|field| line[field].as_i64().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_transfer_is_dispatched_and_received() {
    let chain = Chain::open().await;
    let mut body = chain.shipment(&[6, 2]);
    body["transferId"] = json!("truck-17");
    body["notes"] = json!("the blue one");
    let answer = chain.ask(&body).await.expect(201);
    let location = answer.header("location").to_owned();
    let position: u64 = answer.header("ledger-position").parse().unwrap();
    let made = answer.json();
    let id = &made["id"];
    assert_eq!(location, format!("{TRANSFERS}/{}", id.as_str().unwrap()));
    assert_eq!(
        (&made["state"], &made["transferId"]),
        (&json!("OPEN"), &json!("truck-17"))
    );
    assert_eq!(
        (&made["fromWarehouseCode"], &made["toWarehouseCode"]),
        (&json!("NORTH"), &json!("SOUTH"))
    );
    assert_eq!(units(&made), [[6, 0, 0, 0, 0, 6], [2, 0, 0, 0, 0, 2]]);
    assert_eq!(chain.now(id).await, made, "it is found as it was answered");
    assert_eq!(
        (
            chain.stock(&chain.north, 0).await,
            chain.stock(&chain.south, 0).await
        ),
        ([4, 0], [0, 0])
    );

    // Both of its events tell of it.
    let events = made["eventIds"].as_array().unwrap();
    let mut told = Vec::new();
    for event in events {
        let path = format!("/api/v1/stock-events/{}", event.as_str().unwrap());
        told.push(
            chain
                .server
                .get(&path, &chain.server.viewer)
                .await
                .expect(200)
                .json(),
        );
    }
    let [out, expected] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(
        (&out["type"], &out["warehouseId"]),
        (&json!("TRANSFER_OUT"), &json!(chain.north))
    );
    assert_eq!(out["lines"][0]["quantity"], -6);
    assert_eq!(
        (&expected["type"], &expected["warehouseId"]),
        (&json!("TRANSFER_EXPECTED"), &json!(chain.south))
    );
    assert_eq!(
        expected["noted"][0],
        json!({"variantId": chain.variants[0], "quantity": 6})
    );
    for (event, other) in [(out, &chain.south), (expected, &chain.north)] {
        assert_eq!(
            (&event["transferUuid"], &event["transferId"]),
            (id, &json!("truck-17"))
        );
        assert_eq!(event["counterpartWarehouseId"], json!(other));
    }

    let received = chain.step(id, "receive", None).await.expect(201);
    assert!(received.header("ledger-position").parse::<u64>().unwrap() > position);
    let received = received.json();
    assert_eq!(
        (&received["type"], &received["transferUuid"]),
        (&json!("TRANSFER_IN"), id)
    );
    assert_eq!(received["lines"][1]["quantity"], 2);
    let over = chain.now(id).await;
    assert_eq!(
        (&over["state"], &over["endedAt"]),
        (&json!("RECEIVED"), &received["occurredAt"])
    );
    assert_eq!(units(&over), [[6, 6, 0, 0, 0, 0], [2, 2, 0, 0, 0, 0]]);
    assert_eq!(over["eventIds"][2], received["id"]);
    assert_eq!(
        (
            chain.stock(&chain.north, 0).await,
            chain.stock(&chain.south, 0).await
        ),
        ([4, 0], [6, 0])
    );
    let refused = chain.step(id, "receive", None).await;
    refused.expect_problem(409, "transfer-over", "transfer-over");
}

#[tokio::test]
async fn what_is_damaged_is_held_and_what_is_missing_is_found_or_written_off() {
    let chain = Chain::open().await;
    let id = &chain.dispatch(&[6, 4]).await["id"];
    let found = chain.found(&[[3, 1, 2], [0, 0, 4]]);
    let event = chain.step(id, "receive", Some(&found)).await.expect(201).json();
    assert_eq!(
        event["noted"],
        json!([
            {"variantId": chain.variants[0], "quantity": 2},
            {"variantId": chain.variants[1], "quantity": 4},
        ])
    );
    assert_eq!(chain.units(id).await, [[6, 3, 1, 2, 0, 2], [4, 0, 0, 4, 0, 4]]);
    assert_eq!(chain.stock(&chain.south, 0).await, [3, 1]);

    let too_many = chain
        .step(id, "receive", Some(&chain.found(&[[1, 1, 1], [4, 0, 0]])))
        .await;
    let problem = too_many.expect_problem(409, "over-receipt", "over-receipt");
    let shortage = json!({"variantId": chain.variants[0], "variantSku": "A", "from": "transit", "requested": 3, "available": 2});
    assert_eq!(problem["shortages"], json!([shortage]));
    assert_eq!(chain.units(id).await, [[6, 3, 1, 2, 0, 2], [4, 0, 0, 4, 0, 4]]);

    chain
        .step(id, "receive", Some(&chain.found(&[[1, 0, 0]])))
        .await
        .expect(201);
    assert_eq!(chain.units(id).await, [[6, 4, 1, 1, 0, 1], [4, 0, 0, 4, 0, 4]]);

    let close = json!({"reasonCode": "OTHER", "notes": "claim 4711"});
    let closed = chain.step(id, "close", Some(&close)).await.expect(201).json();
    assert_eq!(
        (&closed["type"], &closed["reasonCode"]),
        (&json!("TRANSFER_CLOSED"), &json!("OTHER"))
    );
    let over = chain.now(id).await;
    assert_eq!(over["state"], "CLOSED");
    assert_eq!(units(&over), [[6, 4, 1, 1, 1, 0], [4, 0, 0, 4, 4, 0]]);
    assert_eq!(over["eventIds"].as_array().unwrap().len(), 5);
    assert_eq!(chain.stock(&chain.south, 0).await, [4, 1]);
    for (step, body) in [("receive", chain.found(&[[1, 0, 0]])), ("close", close)] {
        chain
            .step(id, step, Some(&body))
            .await
            .expect_problem(409, "transfer-over", "transfer-over");
    }
}

#[tokio::test]
async fn the_same_key_is_the_same_dispatch_receipt_and_end() {
    let chain = Chain::open().await;
    let keyed = async |path: &str, key: &str, body: &Value| {
        let headers = [("Idempotency-Key", key)];
        let token = &chain.server.manager;
        chain
            .server
            .call_with(Method::POST, path, token, Some(body), &headers)
            .await
    };
    let body = chain.shipment(&[4]);
    let first = keyed(TRANSFERS, "d", &body).await.expect(201);
    let made = first.json();
    let path = format!("{TRANSFERS}/{}", made["id"].as_str().unwrap());
    let receive = format!("{path}/receive");
    let some = chain.found(&[[1, 0, 0]]);
    let received = keyed(&receive, "r", &some).await.expect(201).json();
    let close = (format!("{path}/close"), json!({"reasonCode": "DAMAGE"}));
    let closed = keyed(&close.0, "c", &close.1).await.expect(201).json();
    for (path, key, body, answer) in [
        (TRANSFERS, "d", &body, &made),
        (&receive, "r", &some, &received),
        (&close.0, "c", &close.1, &closed),
    ] {
        let again = keyed(path, key, body).await.expect(201);
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(&again.json(), answer);
    }
    let other = keyed(TRANSFERS, "d", &chain.shipment(&[5])).await;
    other.expect_problem(409, "idempotency-conflict", "stock-idempotency-conflict");
    assert_eq!(chain.stock(&chain.north, 0).await, [6, 0]);
}

#[tokio::test]
async fn what_cannot_be_dispatched_is_refused_with_its_field() {
    let chain = Chain::open().await;
    let set = |field: &str, value: Value| {
        let mut body = chain.shipment(&[4]);
        body[field] = value;
        body
    };
    chain.ask(&set("transferId", json!("T"))).await.expect(201);
    let nowhere = json!(uuid::Uuid::new_v4());
    for (body, status, code, pointer) in [
        (
            set("toWarehouseId", json!(chain.north)),
            400,
            "same-warehouse",
            "/toWarehouseId",
        ),
        (
            set("transferId", json!("T")),
            409,
            "transfer-taken",
            "/transferId",
        ),
        (
            set("transferId", json!("")),
            400,
            "invalid-reference",
            "/transferId",
        ),
        (
            set("fromWarehouseId", json!("x")),
            400,
            "invalid-payload",
            "/fromWarehouseId",
        ),
        (
            set("toWarehouseId", Value::Null),
            400,
            "invalid-payload",
            "/toWarehouseId",
        ),
        (set("lines", json!([])), 400, "no-lines", "/lines"),
        (
            set("lines", chain.lines(&[0])),
            400,
            "invalid-quantity",
            "/lines/0/quantity",
        ),
        (
            set("reasonCode", json!("OTHER")),
            400,
            "invalid-payload",
            "/reasonCode",
        ),
        (
            set("notes", json!("x".repeat(501))),
            400,
            "notes-too-long",
            "/notes",
        ),
    ] {
        let answer = chain.ask(&body).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text());
        let problem = answer.json();
        assert_eq!(problem["type"], format!("/problems/{code}"));
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let unknown = chain.ask(&set("toWarehouseId", nowhere)).await;
    unknown.expect_problem(404, "warehouse-not-found", "stock-warehouse-not-found");
    let short = chain.ask(&chain.shipment(&[7])).await;
    let problem = short.expect_problem(409, "insufficient-stock", "stock-insufficient");
    assert_eq!(problem["shortages"][0]["available"], 6);
    let mut lines = chain.lines(&[1]);
    lines[0]["expectedAvailable"] = json!(7);
    let mismatch = chain.ask(&set("lines", lines)).await;
    let problem = mismatch.expect_problem(412, "available-mismatch", "available-mismatch");
    assert_eq!(problem["lines"][0]["available"], 6);

    let path = format!("/api/v1/warehouses/{}", chain.south);
    let off = json!({"active": false});
    chain
        .server
        .patch(&path, &chain.server.admin, &off)
        .await
        .expect(200);
    let inactive = chain.ask(&chain.shipment(&[1])).await;
    let problem = inactive.expect_problem(400, "warehouse-inactive", "invalid payload");
    assert_eq!(problem["errors"][0]["pointer"], "/toWarehouseId");
    let path = format!("/api/v1/warehouses/{}", chain.north);
    chain
        .server
        .patch(&path, &chain.server.admin, &off)
        .await
        .expect(200);
    let inactive = chain.ask(&chain.shipment(&[1])).await;
    assert_eq!(
        inactive.expect(400).json()["errors"][0]["pointer"],
        "/fromWarehouseId"
    );
}

#[tokio::test]
async fn what_cannot_be_received_or_closed_is_refused_with_its_field() {
    let chain = Chain::open().await;
    let id = &chain.dispatch(&[4]).await["id"];
    let line = |received: Value| json!({"lines": [{"variantId": chain.variants[0], "received": received}]});
    let twice = json!([{"variantId": chain.variants[0], "received": 1}, {"variantId": chain.variants[0], "received": 1}]);
    for (step, body, code, pointer) in [
        ("receive", line(json!(0)), "invalid-quantity", "/lines/0"),
        (
            "receive",
            line(json!(-1)),
            "invalid-quantity",
            "/lines/0/received",
        ),
        (
            "receive",
            line(json!("1")),
            "invalid-payload",
            "/lines/0/received",
        ),
        (
            "receive",
            json!({"lines": [{"variantId": chain.variants[0]}]}),
            "invalid-payload",
            "/lines/0/received",
        ),
        ("receive", json!({"lines": []}), "invalid-payload", "/lines"),
        (
            "receive",
            json!({"lines": twice}),
            "duplicate-variant",
            "/lines/1/variantId",
        ),
        ("receive", json!({"line": []}), "invalid-payload", "/line"),
        ("close", json!({}), "invalid-payload", "/reasonCode"),
        (
            "close",
            json!({"reasonCode": "LOST"}),
            "invalid-payload",
            "/reasonCode",
        ),
        (
            "close",
            json!({"reasonCode": "SALE"}),
            "reason-mismatch",
            "/reasonCode",
        ),
    ] {
        let answer = chain.step(id, step, Some(&body)).await.expect(400);
        let problem = answer.json();
        assert_eq!(problem["type"], format!("/problems/{code}"), "{body}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let elsewhere = json!({"warehouseId": chain.north});
    let problem = chain.step(id, "receive", Some(&elsewhere)).await;
    let problem = problem.expect_problem(409, "wrong-warehouse", "wrong-warehouse");
    assert_eq!(problem["toWarehouseId"], json!(chain.south));
    let unknown = json!({"lines": [{"variantId": uuid::Uuid::new_v4(), "received": 1}]});
    chain.step(id, "receive", Some(&unknown)).await.expect_problem(
        404,
        "variant-not-found",
        "stock-variant-not-found",
    );
    let here = json!({"warehouseId": chain.south});
    chain.step(id, "receive", Some(&here)).await.expect(201);
    // Neither an event's id nor a reservation's leads to a transfer.
    let event = chain.now(id).await["eventIds"][0].clone();
    chain.step(&event, "receive", None).await.expect_problem(
        404,
        "transfer-not-found",
        "stock-transfer-not-found",
    );
}

#[tokio::test]
async fn what_is_on_the_way_is_listed_by_where_it_comes_from_and_goes() {
    let chain = Chain::open().await;
    let mut all = Vec::new();
    for quantities in [&[1, 1][..], &[2], &[3]] {
        all.push(chain.dispatch(quantities).await["id"].clone());
    }
    let mut back =
        json!({"fromWarehouseId": chain.south, "toWarehouseId": chain.north, "lines": chain.lines(&[1])});
    back["transferId"] = json!("Truck 17");
    chain.step(&all[0], "receive", None).await.expect(201);
    chain
        .step(&all[1], "close", Some(&json!({"reasonCode": "OTHER"})))
        .await
        .expect(201);
    all.push(chain.ask(&back).await.expect(201).json()["id"].clone());
    let pick = |numbers: &[usize]| numbers.iter().map(|at| all[*at].clone()).collect::<Vec<_>>();
    let (north, south) = (&chain.north, &chain.south);
    for (query, expected) in [
        (String::new(), &[3, 2, 1, 0][..]),
        ("sort=createdAt,asc".into(), &[0, 1, 2, 3]),
        ("state=OPEN".into(), &[3, 2]),
        ("state=RECEIVED".into(), &[0]),
        ("state=CLOSED".into(), &[1]),
        (format!("fromWarehouseId={north}&state=OPEN"), &[2]),
        (format!("toWarehouseId={north}"), &[3]),
        (
            format!("fromWarehouseId={north}&toWarehouseId={south}"),
            &[2, 1, 0],
        ),
        (format!("fromWarehouseId={north}&toWarehouseId={north}"), &[]),
        (format!("variantId={}", chain.variants[1]), &[0]),
        ("transferId=Truck%2017".into(), &[3]),
        ("transferId=truck%2017".into(), &[]),
        ("transferId=Truck%2017&state=CLOSED".into(), &[]),
    ] {
        assert_eq!(chain.ids(&query).await, pick(expected), "{query}");
    }
    let page = chain
        .listed("size=3", &chain.server.viewer)
        .await
        .expect(200)
        .json();
    assert_eq!(
        page["page"],
        json!({"number": 0, "size": 3, "totalElements": 4, "totalPages": 2})
    );
    let cursor = page["nextCursor"].as_str().unwrap();
    assert_eq!(chain.ids(&format!("size=3&cursor={cursor}")).await, pick(&[0]));
    assert_eq!(chain.ids("size=3&page=1").await, pick(&[0]));
    for query in [
        "state=open",
        "sort=occurredAt",
        "cursor=x",
        "from=x",
        "fromWarehouseId=x",
    ] {
        chain.listed(query, &chain.server.viewer).await.expect(400);
    }
    assert_eq!(chain.now(&all[3]).await["lines"][0]["inTransit"], 1);
}

/// A SELLER dispatches from its own warehouse, receives at it, and reads what comes from or goes to it.
#[tokio::test]
async fn a_seller_has_one_end_of_a_transfer() {
    let chain = Chain::open().await;
    let server = &chain.server;
    let east = server.warehouse("EAST").await;
    let northern = server.key("default", Role::Seller, &[uuid(&chain.north)]).await;
    let southern = server.key("default", Role::Seller, &[uuid(&chain.south)]).await;
    let eastern = server.key("default", Role::Seller, &[uuid(&east)]).await;

    let body = chain.shipment(&[4]);
    server.post(TRANSFERS, &southern, &body).await.expect(403);
    let id = &server.post(TRANSFERS, &northern, &body).await.expect(201).json()["id"];
    let path = format!("{TRANSFERS}/{}", id.as_str().unwrap());
    for (token, status) in [(&northern, 200), (&southern, 200), (&eastern, 404)] {
        server.fetch_now(&path, token).await.expect(status);
    }
    let some = chain.found(&[[1, 0, 0]]);
    for (token, status) in [(&northern, 403), (&eastern, 404), (&southern, 201)] {
        chain
            .step_as(token, id, "receive", Some(&some))
            .await
            .expect(status);
        let close = json!({"reasonCode": "OTHER"});
        chain.step_as(token, id, "close", Some(&close)).await.expect(403);
    }
    let (north, south) = (&chain.north, &chain.south);
    for (token, query, status) in [
        (&northern, format!("fromWarehouseId={north}"), 200),
        (
            &northern,
            format!("fromWarehouseId={north}&toWarehouseId={south}"),
            200,
        ),
        (&northern, format!("toWarehouseId={south}"), 403),
        (&southern, format!("fromWarehouseId={north}"), 403),
        (
            &southern,
            format!("toWarehouseId={south}&fromWarehouseId={north}"),
            200,
        ),
        (
            &eastern,
            format!("toWarehouseId={south}&fromWarehouseId={north}"),
            403,
        ),
        (&southern, String::new(), 403),
    ] {
        chain.listed(&query, token).await.expect(status);
    }
}

#[tokio::test]
async fn what_a_count_had_seen_leave_or_arrive_is_on_no_way() {
    let chain = Chain::open().await;
    let server = &chain.server;
    // Both warehouses are counted a minute from now, and approved.
    for (warehouse, found) in [(&chain.north, 10), (&chain.south, 0)] {
        let open = json!({"warehouseId": warehouse, "variantIds": [chain.variants[0]]});
        let opened = server
            .post("/api/v1/counts", &server.manager, &open)
            .await
            .expect(201)
            .json();
        let path = format!("/api/v1/counts/{}", opened["id"].as_str().unwrap());
        server.clock.advance_ms(60_000);
        let lines = json!({"lines": [{"variantId": chain.variants[0], "counted": found}]});
        let counted = server
            .post(&format!("{path}/lines"), &server.manager, &lines)
            .await;
        counted.expect(201);
        server
            .post(&format!("{path}/approve"), &server.manager, &json!({}))
            .await
            .expect(201);
    }
    let (before, between) = ("2025-06-01T12:00:30Z", "2025-06-01T12:01:30Z");
    // It left before the count of the one and arrived before the count of the other.
    let mut shipment = chain.shipment(&[4]);
    shipment["occurredAt"] = before.into();
    let sent = chain.ask(&shipment).await.expect(201).json();
    assert_eq!(units(&sent), [[4, 0, 0, 0, 0, 4]], "{sent}");
    assert_eq!(chain.units(&sent["id"]).await, [[4, 0, 0, 0, 0, 4]]);
    let mut found = chain.found(&[[3, 1, 0]]);
    found["occurredAt"] = between.into();
    let received = chain
        .step(&sent["id"], "receive", Some(&found))
        .await
        .expect(201)
        .json();
    assert_eq!(received["seenByCount"], json!([chain.variants[0]]));
    let over = chain.now(&sent["id"]).await;
    assert_eq!(
        (&over["state"], units(&over)),
        (&json!("RECEIVED"), vec![[4, 3, 1, 0, 0, 0]])
    );
    // What was counted is what there is.
    assert_eq!(chain.stock(&chain.north, 0).await, [10, 0]);
    assert_eq!(chain.stock(&chain.south, 0).await, [0, 0]);
}
