//! Everything under TLS: clients to the server, the server to PostgreSQL and to NATS, and the command line to the server.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bincard_testkit::certificates;
use bincard_testkit::nats::Nats;
use bincard_testkit::postgres::Postgres;
use bincard_testkit::server::{Server, ServerOptions, bincard_binary};
use serde_json::{Value, json};

use crate::support::{EMAIL, PASSWORD};

/// What /metrics says once the one event has been relayed.
const PUBLISHED: &str = "bincard_relay_published_total{tenant=\"default\"} 1";
/// Far longer than it takes.
const RELAYED_WITHIN: Duration = Duration::from_secs(30);
const NATS_PASSWORD: &str = "p@ss:word of nats";

/// The server's environment: a certificate of its own, and the authority that it trusts.
fn environment(postgres: &Postgres, nats: &Nats) -> Vec<(String, std::ffi::OsString)> {
    let pair = certificates::first();
    let authority = certificates::authority();
    let database = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        postgres.tcp_url("postgres"),
        authority.display()
    );
    let nats = format!("tls://relay:p%40ss%3Aword%20of%20nats@localhost:{}", nats.port());
    [
        ("BINCARD_TLS_CERTIFICATE_FILE", pair.certificate.into_os_string()),
        ("BINCARD_TLS_KEY_FILE", pair.key.into_os_string()),
        ("BINCARD_DATABASE_URL", database.into()),
        ("BINCARD_NATS_URL", nats.into()),
        ("SSL_CERT_FILE", authority.into_os_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_the_database_and_nats_are_reached_under_tls() -> Result<()> {
    let (postgres, nats) = (Postgres::start_with_tls()?, Nats::start_with_tls(NATS_PASSWORD)?);
    let folder = bincard_testkit::scratch::folder("tls")?;
    let mut options = ServerOptions::bincard(bincard_binary()?, folder.path(), EMAIL, PASSWORD);
    options.environment.extend(environment(&postgres, &nats));
    options.ready_path = None;
    let mut server = Server::start(options)?;
    let url = format!("https://localhost:{}", server.address()?.port());

    // Whoever trusts the authority gets in; whoever does not is not let down to plain words.
    drop(rustls::crypto::ring::default_provider().install_default());
    let stranger = reqwest::Client::new().get(format!("{url}/readyz")).send().await;
    ensure!(
        stranger.is_err_and(|error| error.is_connect()),
        "a stranger's certificate was trusted"
    );
    let authority = std::fs::read(certificates::authority())?;
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&authority)?])
        .build()?;
    let login = json!({ "email": EMAIL, "password": PASSWORD });
    let answer = http
        .post(format!("{url}/api/auth/login"))
        .json(&login)
        .send()
        .await?;
    let cookie = answer
        .headers()
        .get("set-cookie")
        .cloned()
        .context("a login without cookie")?;
    ensure!(
        cookie.to_str()?.ends_with("; Secure"),
        "the cookie would be sent in plain words: {cookie:?}"
    );
    let body: Value = answer.json().await?;
    let token = body["data"]["access_token"]
        .as_str()
        .context("a login without access_token")?;
    let warehouse = json!({ "code": "MAIN", "name": "Main" });
    let made = http
        .post(format!("{url}/api/v1/warehouses"))
        .bearer_auth(token)
        .json(&warehouse);
    ensure!(made.send().await?.status() == 201, "a request under TLS");

    // Whoever asks in plain words is told what is wrong.
    let plain = reqwest::get(format!("http://{}/readyz", server.address()?)).await?;
    ensure!(plain.status() == 400, "{plain:?}");
    ensure!(plain.text().await?.contains("use https://"));

    // Somebody who connects and says nothing holds nobody else up, and not the end either.
    let _silent = TcpStream::connect(server.address()?)?;

    // What was recorded has gone to NATS.
    let relayed = tokio::time::timeout(RELAYED_WITHIN, async {
        loop {
            let metrics = http.get(format!("{url}/metrics")).send().await?;
            if metrics.text().await?.lines().any(|line| line == PUBLISHED) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    relayed.await.with_context(|| server.stderr())??;

    // The command line asks the server in the same way.
    let key = run(
        &["key", "create", "reader", "--role", "VIEWER"],
        &environment(&postgres, &nats),
        folder.path(),
    )?;
    let key = key
        .split_whitespace()
        .find(|word| word.starts_with("bck_"))
        .context(key.clone())?
        .to_owned();
    let trust = [(
        "SSL_CERT_FILE".to_owned(),
        certificates::authority().into_os_string(),
    )];
    run(&["stock", "--url", &url, "--key", &key], &trust, folder.path())?;

    let printed = server.stdout();
    ensure!(printed.contains("routes  https://127.0.0.1:"), "{printed}");
    ensure!(
        server.stop(Duration::from_secs(15))?.success(),
        "{}",
        server.stderr()
    );
    let said = printed + &server.stderr();
    for secret in [NATS_PASSWORD, "p%40ss", PASSWORD, &key] {
        ensure!(!said.contains(secret), "a secret was logged: {said}");
    }
    let database_password = postgres.tcp_url("postgres");
    let database_password = database_password
        .split([':', '@'])
        .nth(2)
        .context("no password")?;
    ensure!(
        !said.contains(database_password),
        "the database's password was logged: {said}"
    );
    Ok(())
}

/// Runs the binary, which is to succeed, and answers what it printed.
fn run(
    arguments: &[&str],
    environment: &[(String, std::ffi::OsString)],
    folder: &std::path::Path,
) -> Result<String> {
    let output = Command::new(bincard_binary()?)
        .args(arguments)
        .arg("--data-dir")
        .arg(folder)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{arguments:?}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(said)
}

#[test]
fn a_database_whose_certificate_nobody_vouches_for_is_refused() -> Result<()> {
    let postgres = Postgres::start_with_tls()?;
    let folder = bincard_testkit::scratch::folder("tls")?;
    let output = Command::new(bincard_binary()?)
        .args(["migrate", "--check", "--data-dir"])
        .arg(folder.path())
        .env(
            "BINCARD_DATABASE_URL",
            format!("{}?sslmode=verify-full", postgres.tcp_url("postgres")),
        )
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("certificate"), "{said}");
    Ok(())
}
