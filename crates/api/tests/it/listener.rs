//! A real listener: connections, addresses, the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bincard_access::{Accounts, NewKey, PasswordCost, Plan, Role, TenantName};
use bincard_api::{App, Certificates, Options, TlsError, serve};
use bincard_testkit::certificates::{self, Pair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

async fn exchange(stream: &mut TcpStream, request: &str, until: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(until) {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "closed after {}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_serves_ends_its_requests_and_opens_again_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut key = String::new();
    for round in 1..=2 {
        let accounts = Accounts::open(
            folder.path().join("accounts.db"),
            bincard_access::Options::default(),
        )
        .await
        .unwrap();
        if round == 1 {
            accounts.tenant_add("default").await.ok();
            let new = NewKey {
                name: "k",
                role: Role::Admin,
                warehouses: &[],
                plan: Plan::Service,
                expires_at: None,
                created_by: None,
            };
            let issued = accounts
                .key_create(&TenantName::default_tenant(), new)
                .await
                .unwrap();
            key = issued.secret.reveal().to_owned();
        }
        let mut options = Options::new(folder.path().join("ledgers"));
        options.engine.segment_bytes = 1 << 20;
        // Far longer than this test: what is only half there is not waited for so long.
        options.drain_max = Duration::from_secs(3_600);
        let app = Arc::new(App::new(accounts, options));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, app, async { drop(stopped.await) }));
        let body = format!("{{\"code\":\"W{round}\",\"name\":\"W\"}}");
        let auth = format!("host: x\r\nauthorization: Bearer {key}\r\n");
        let create = format!(
            "POST /api/v1/warehouses HTTP/1.1\r\n{auth}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        let created = exchange(&mut stream, &create, "\"updatedAt\"").await;
        assert!(created.starts_with("HTTP/1.1 201 Created\r\n"), "{created}");
        assert!(
            created.contains(&format!("ledger-position: {round}\r\n")),
            "a second server goes on where the first stopped"
        );
        // The same connection, kept alive, follows the feed; others send half of a request, or all but half of its body.
        let follow = format!(
            "GET /api/v1/ledger/events?after={}&follow=true HTTP/1.1\r\n{auth}\r\n",
            round - 1
        );
        exchange(&mut stream, &follow, "WAREHOUSE_CREATED").await;
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET /heal").await.unwrap();
        let mut halves = Vec::new();
        for path in ["/api/v1/warehouses", "/api/v1/stock-events"] {
            let mut half = TcpStream::connect(address).await.unwrap();
            let begun =
                format!("POST {path} HTTP/1.1\r\n{auth}content-length: 100\r\nexpect: 100-continue\r\n\r\n");
            // It is asked for when the request is being answered.
            let asked = exchange(&mut half, &begun, "\r\n\r\n").await;
            assert!(asked.starts_with("HTTP/1.1 100 Continue\r\n"), "{path}: {asked}");
            half.write_all(b"{\"type\": ").await.unwrap();
            halves.push((path, half));
        }
        stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(30), server)
            .await
            .expect("it ends")
            .unwrap()
            .unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.ends_with(b"0\r\n\r\n"), "the feed ended in order");
        for (path, mut half) in halves {
            let mut told = String::new();
            half.read_to_string(&mut told).await.unwrap();
            let is_told = told.starts_with("HTTP/1.1 503 ") && told.contains("/problems/stopped");
            assert!(is_told, "{path}: {told}");
        }
        drop(half);
        assert!(
            TcpStream::connect(address).await.is_err(),
            "nobody listens any more"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_beyond_all_measure_is_refused_without_a_body() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts::open(
        folder.path().join("accounts.db"),
        bincard_access::Options {
            password_cost: PasswordCost {
                memory_kib: 8,
                passes: 1,
            },
            ..bincard_access::Options::default()
        },
    );
    let options = Options::new(folder.path().join("ledgers"));
    let app = Arc::new(App::new(accounts.await.unwrap(), options));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, app, async { drop(stopped.await) }));
    let ask = async |head: String| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let get = |length: usize, fields: usize| {
        let path = format!("/healthz?{}", "x".repeat(length - 9));
        let fields: String = (0..fields - 1).map(|n| format!("x-{n}: y\r\n")).collect();
        format!("GET {path} HTTP/1.1\r\n{fields}connection: close\r\n\r\n")
    };
    let largest = ask(get(65_534, 100)).await;
    assert!(largest.starts_with("HTTP/1.1 200 OK\r\n"), "{largest}");
    for (head, status) in [
        (get(65_535, 1), "414 URI Too Long"),
        (get(10, 101), "431 Request Header Fields Too Large"),
        ("HELLO\r\n\r\n".to_owned(), "400 Bad Request"),
    ] {
        let answer = ask(head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "it has a body: {answer}");
    }
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_and_half_of_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    let put = |pair: &Pair| {
        std::fs::copy(&pair.certificate, &certificate).unwrap();
        std::fs::copy(&pair.key, &key).unwrap();
    };
    put(&certificates::first());
    let shown = Certificates::open(&certificate, &key).unwrap();
    let accounts = Accounts::open(
        folder.path().join("accounts.db"),
        bincard_access::Options::default(),
    );
    let options = Options {
        certificates: Some(shown.clone()),
        ..Options::new(folder.path().join("ledgers"))
    };
    let app = Arc::new(App::new(accounts.await.unwrap(), options));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, app, async { drop(stopped.await) }));
    let is_shown = async |pair: Pair| {
        let seen = certificate_at(address).await;
        let wanted = CertificateDer::from_pem_file(&pair.certificate).unwrap();
        seen == wanted
    };

    assert!(is_shown(certificates::first()).await);
    assert!(!shown.look().unwrap(), "nothing has changed");
    // Somebody replaces the files one after the other.
    std::fs::copy(certificates::second().certificate, &certificate).unwrap();
    let error = shown.look().expect_err("a certificate with another one's key");
    assert!(matches!(error, TlsError::Pair { .. }), "{error}");
    assert!(is_shown(certificates::first()).await);
    std::fs::write(&key, "").unwrap();
    let error = shown.look().expect_err("half a file");
    assert!(
        error
            .to_string()
            .ends_with("k.pem: a private key in PEM form was expected"),
        "{error}"
    );
    put(&certificates::second());
    assert!(shown.look().unwrap());
    assert!(is_shown(certificates::second()).await);

    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

/// The certificate that a server shows.
async fn certificate_at(address: SocketAddr) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(certificates::authority()).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = TlsConnector::from(Arc::new(client))
        .connect(name, stream)
        .await
        .unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    shown[0].clone().into_owned()
}
