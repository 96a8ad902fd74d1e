//! A server under way: its runtime, its listener, and its end when the system asks for it.

use std::future::Future;
use std::io;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bincard_access::{Accounts, TenantName};
use bincard_api::{App, Certificates, Roles, TrustedProxies};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::exit::WrongUse;
use crate::folder::{DataFolder, engine_options};

/// The most threads that answer requests: far more than any machine has cores.
const WORKERS_MAX: usize = 1_024;

/// The runtime of a server. Each ledger's writer and projector have threads of their own beside it.
pub(crate) fn runtime(config: &Config) -> anyhow::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let workers = match config.workers {
        0 => cores.saturating_sub(1).max(1),
        workers @ 1..=WORKERS_MAX => workers,
        _ => {
            let what = format!("workers: at most {WORKERS_MAX}, or 0 for as many as there are cores but one");
            return Err(WrongUse(what).into());
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build();
    runtime.context("the threads that answer requests cannot be started")
}

/// Listens at `address`.
pub(crate) async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(WrongUse(format!(
            "listen: {address:?} is not an address such as 127.0.0.1:8080"
        ))
        .into()),
        Err(error) => {
            Err(error).with_context(|| format!("cannot listen at {address}: choose another by --listen"))
        }
    }
}

/// How the listener is reached.
pub(crate) fn base_url(config: &Config, listener: &TcpListener) -> io::Result<String> {
    let scheme = match config.tls_certificate_file.is_empty() {
        true => "http",
        false => "https",
    };
    Ok(format!("{scheme}://{}", listener.local_addr()?))
}

/// How the configuration has a data folder served.
pub(crate) fn options(folder: &DataFolder, config: &Config) -> anyhow::Result<bincard_api::Options> {
    let trusted_proxies = TrustedProxies::parse(&config.trusted_proxies);
    Ok(bincard_api::Options {
        engine: engine_options(config),
        trusted_proxies: trusted_proxies.map_err(|error| WrongUse(format!("trusted_proxies: {error}")))?,
        metrics_to_all: config.metrics_to_all,
        audit_every: (config.audit_every_ms > 0).then(|| Duration::from_millis(config.audit_every_ms)),
        database: folder.database().cloned(),
        views: folder.views_database().cloned(),
        roles: roles(config, folder)?,
        relay: relay_options(config)?,
        certificates: certificates(config)?,
        shipping: shipping_options(config, folder)?,
        ..bincard_api::Options::new(folder.ledgers_path())
    })
}

/// The server, with the ledger of the tenant `default` open, so that what is wrong with it is said at the start.
pub(crate) async fn open(accounts: Accounts, options: bincard_api::Options) -> anyhow::Result<Arc<App>> {
    let app = Arc::new(App::new(accounts, options));
    app.ledgers().open(&TenantName::default_tenant()).await?;
    Ok(app)
}

/// What this node does.
fn roles(config: &Config, folder: &DataFolder) -> anyhow::Result<Roles> {
    let names: Vec<&str> = config.roles.split(',').map(str::trim).collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| !["api", "projector", "worker"].contains(name))
    {
        let what = format!("roles: there is no role {unknown:?}; there are api, projector and worker");
        return Err(WrongUse(what).into());
    }
    let roles = Roles {
        api: names.contains(&"api"),
        projector: names.contains(&"projector"),
        worker: names.contains(&"worker"),
    };
    if roles != Roles::ALL && folder.database().is_none() {
        let what = "roles: without a database this node is alone, and does everything; set database_url, or leave roles out";
        return Err(WrongUse(what.to_owned()).into());
    }
    Ok(roles)
}

/// What the listener shows, if it speaks TLS.
fn certificates(config: &Config) -> anyhow::Result<Option<Certificates>> {
    let (certificate, key) = (&config.tls_certificate_file, &config.tls_key_file);
    match (certificate.is_empty(), key.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(
            Certificates::open(Path::new(certificate), Path::new(key))
                .context("tls_certificate_file and tls_key_file")?,
        )),
        _ => Err(WrongUse(
            "tls_certificate_file and tls_key_file: one of them is set, and a server that speaks TLS needs both"
                .to_owned(),
        )
        .into()),
    }
}

/// Where backups are shipped, if they are.
fn shipping_options(config: &Config, folder: &DataFolder) -> anyhow::Result<Option<bincard_backup::Options>> {
    let to = config.ship_to.trim();
    if to.is_empty() {
        return Ok(None);
    }
    folder.check_backup_place(to)?;
    Ok(Some(bincard_backup::Options {
        place: bincard_backup::Place::make(to)?,
        every: Duration::from_secs(config.ship_every_s),
    }))
}

/// How events are relayed to NATS, if they are.
fn relay_options(config: &Config) -> anyhow::Result<Option<bincard_relay::Options>> {
    let url = config.nats_url.0.trim();
    if url.is_empty() {
        return Ok(None);
    }
    let credentials = &config.nats_credentials_file;
    Ok(Some(bincard_relay::Options {
        servers: url
            .parse()
            .map_err(|error| WrongUse(format!("nats_url: {error}")))?,
        credentials_file: (!credentials.is_empty()).then(|| credentials.into()),
        replicas: config.nats_replicas,
        age_max: Duration::from_secs(config.nats_max_age_s),
        bytes_max: config.nats_max_bytes,
        render: bincard_api::cloud_event,
    }))
}

/// Says where it listens, and `more`; then serves until the system asks for an end (SIGTERM, SIGINT, SIGHUP), and ends in
/// order.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    config: &Config,
    more: &str,
) -> anyhow::Result<()> {
    // Before anybody is told that it serves: a signal must not kill it from then on.
    let told = asked_to_end()?;
    let at = base_url(config, &listener)?;
    crate::commands::write_out(&format!("listening on {at}\n{more}"))?;
    bincard_api::serve(listener, app.clone(), told)
        .await
        .context("the server cannot go on")?;
    app.accounts()
        .close()
        .await
        .context("the accounts cannot be closed")
}

pub(crate) fn asked_to_end() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened for")?;
    // One that was told to outlive its terminal, as `nohup` tells it, does.
    let mut hangup = if hangups_are_ignored() {
        None
    } else {
        Some(signal(SignalKind::hangup()).context("SIGHUP cannot be listened for")?)
    };
    let hung_up = async move {
        match &mut hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hung_up => {}
        }
    })
}

/// Whether the process was started with SIGHUP ignored. Where the system does not tell, it was not.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The lowest bit is signal 1.
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}
