//! Our own server as the benches drive it: the binary on a scratch folder, an API key without a limit, a catalogue and
//! stock that came in through the API.

use crate::sampling::Catalogue;
use anyhow::{Context as _, ensure};
use bincard_testkit::load::{Load, Until};
use bincard_testkit::server::{Server, ServerOptions};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// Where stock events go.
pub const EVENTS: &str = "/api/v1/stock-events";
/// Where many of them go.
pub const EVENTS_BULK: &str = "/api/v1/stock-events/bulk";
const VARIANTS_BULK: &str = "/api/v1/variants/bulk";
const PAGE_SIZE: u64 = 500;
/// How long views may take to come to the head before a measurement is given up.
const SETTLE_WITHIN: Duration = Duration::from_secs(900);

/// A running server of ours on a scratch folder, which goes with it.
#[derive(Debug)]
pub struct Product {
    server: Server,
    key: String,
    folder: TempDir,
}

/// How far the ledger and its views have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The position of the last event.
    pub head: u64,
    /// By view: its name and the position up to which it holds everything.
    pub views: Vec<(String, u64)>,
}

impl Standing {
    /// The position of the view that is furthest behind.
    #[must_use]
    pub fn slowest(&self) -> u64 {
        self.views
            .iter()
            .map(|(_, position)| *position)
            .min()
            .unwrap_or(self.head)
    }

    /// Reads the answer of `GET /api/v1/ledger`.
    ///
    /// # Errors
    /// When it is no such answer.
    pub fn parse(body: &[u8]) -> anyhow::Result<Standing> {
        let told: Value = serde_json::from_slice(body).context("the ledger's standing is JSON")?;
        let position = |at: &Value| at["position"].as_u64().context("a position");
        let views = told["views"].as_array().context("a list of views")?;
        let views = views.iter().map(|view| {
            ensure!(view["error"].is_null(), "a view has failed: {view}");
            Ok((
                view["name"].as_str().unwrap_or_default().to_owned(),
                position(view)?,
            ))
        });
        Ok(Standing {
            head: position(&told["head"])?,
            views: views.collect::<anyhow::Result<_>>()?,
        })
    }
}

impl Product {
    /// Starts the server on a fresh scratch folder, on a disk where there is one.
    ///
    /// # Errors
    /// When it does not start or gives out no key.
    pub fn start(binary: &Path) -> anyhow::Result<Product> {
        let folder = bincard_testkit::scratch::folder("bincard-bench-").context("a scratch folder")?;
        Product::start_on(binary, folder)
    }

    /// Starts the server on a data folder.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_on(binary: &Path, folder: TempDir) -> anyhow::Result<Product> {
        let options = ServerOptions::bincard(
            binary.to_owned(),
            folder.path(),
            "bench@example.com",
            "a password of a bench's own",
        );
        let server = Server::start(options)?;
        let key = key_create(binary, folder.path())?;
        Ok(Product { server, key, folder })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When it is down.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.server.address()?)
    }

    /// Its process.
    ///
    /// # Errors
    /// When it is down.
    pub fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.server.pid()?)
    }

    /// Its data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it in order and starts it again: how long it took from the start of the process until it was ready.
    ///
    /// # Errors
    /// When it does not stop or start.
    pub fn restart(&mut self) -> anyhow::Result<Duration> {
        self.server.stop(Duration::from_secs(120))?;
        let started_at = Instant::now();
        self.server.start_again()?;
        Ok(started_at.elapsed())
    }

    /// A closed loop of POSTs with the key.
    ///
    /// # Errors
    /// When it is down.
    pub fn post_load(&self, target: &str, connections: usize, until: Until) -> anyhow::Result<Load> {
        let mut load = Load::post(self.address()?, target, connections, until)
            .header("authorization", &format!("Bearer {}", self.key));
        load.server_pids = vec![self.pid()?];
        Ok(load)
    }

    /// A closed loop of POSTs of NDJSON with the key.
    ///
    /// # Errors
    /// When it is down.
    pub fn bulk_load(&self, target: &str, connections: usize, until: Until) -> anyhow::Result<Load> {
        let mut load = self.post_load(target, connections, until)?;
        for (name, value) in &mut load.headers {
            if name == "content-type" {
                "application/x-ndjson".clone_into(value);
            }
        }
        Ok(load)
    }

    /// A closed loop of GETs with the key.
    ///
    /// # Errors
    /// When it is down.
    pub fn read_load(&self, target: &str, connections: usize, until: Until) -> anyhow::Result<Load> {
        let mut load = Load::read(self.address()?, target, connections, until)
            .header("authorization", &format!("Bearer {}", self.key));
        load.server_pids = vec![self.pid()?];
        Ok(load)
    }

    /// The answer of a GET, which must be 200.
    ///
    /// # Errors
    /// When it is not, or is no JSON.
    pub fn read(&self, target: &str) -> anyhow::Result<Value> {
        let load = self.read_load(target, 1, Until::Requests(1))?;
        let body = once(&load, b"", 200)?;
        serde_json::from_slice(&body).with_context(|| format!("the answer of GET {target}"))
    }

    /// How far the ledger and its views are.
    ///
    /// # Errors
    /// When it does not tell, or a view has failed.
    pub fn standing(&self) -> anyhow::Result<Standing> {
        let load = self.read_load("/api/v1/ledger", 1, Until::Requests(1))?;
        Standing::parse(&once(&load, b"", 200)?)
    }

    /// Waits until every view holds what the log holds, so that no measurement pays for the one before it.
    ///
    /// # Errors
    /// When that takes for ever.
    pub fn settle(&self) -> anyhow::Result<Standing> {
        let deadline = Instant::now() + SETTLE_WITHIN;
        loop {
            let standing = self.standing()?;
            if standing.slowest() == standing.head {
                return Ok(standing);
            }
            ensure!(
                Instant::now() < deadline,
                "the views did not catch up: {standing:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes a warehouse and so many variants, with so much of each on hand.
    ///
    /// # Errors
    /// When a request is refused.
    pub fn stock_up(&self, variants: usize, on_hand: i64) -> anyhow::Result<Catalogue> {
        let load = self.post_load("/api/v1/warehouses", 1, Until::Requests(1))?;
        let warehouse = json!({"code": "WH-1", "name": "Bench"}).to_string();
        let made: Value = serde_json::from_slice(&once(&load, warehouse.as_bytes(), 201)?)?;
        let warehouse: Uuid = made["id"].as_str().context("the warehouse's id")?.parse()?;

        let mut lines = String::new();
        for number in 1..=variants {
            writeln!(lines, r#"{{"sku":"SKU-{number:05}","name":"Variant {number}"}}"#)?;
        }
        let variants = self.bulk(VARIANTS_BULK, &lines)?;

        lines.clear();
        for variant in &variants {
            writeln!(
                lines,
                r#"{{"type":"INBOUND","warehouseId":"{warehouse}","lines":[{{"variantId":"{variant}","quantity":{on_hand}}}]}}"#
            )?;
        }
        self.bulk(EVENTS_BULK, &lines)?;
        self.settle()?;
        Ok(Catalogue { warehouse, variants })
    }

    /// Sends lines and answers the ids of what was recorded; every line must be taken.
    fn bulk(&self, target: &str, lines: &str) -> anyhow::Result<Vec<Uuid>> {
        let load = self.bulk_load(target, 1, Until::Requests(1))?;
        let told = once(&load, lines.as_bytes(), 200)?;
        let told = std::str::from_utf8(&told)?;
        let ids = told.lines().map(|line| {
            let result: Value = serde_json::from_str(line)?;
            ensure!(result["status"] == 201, "a line was refused: {line}");
            Ok(result["id"].as_str().context("an id")?.parse()?)
        });
        let ids: Vec<Uuid> = ids.collect::<anyhow::Result<_>>()?;
        ensure!(
            ids.len() == lines.lines().count(),
            "{} lines were answered by {} results",
            lines.lines().count(),
            ids.len()
        );
        Ok(ids)
    }

    /// How many units are on hand in a warehouse, over all its variants, once the views have settled.
    ///
    /// # Errors
    /// When the list is not right in itself.
    pub fn units_on_hand(&self, warehouse: Uuid) -> anyhow::Result<i64> {
        self.settle()?;
        let first = format!("/api/v1/stock?warehouseId={warehouse}&size={PAGE_SIZE}");
        let (mut target, mut units, mut rows) = (first.clone(), 0, 0);
        loop {
            let page = self.read(&target)?;
            let content = page["content"].as_array().context("rows")?;
            rows += content.len() as u64;
            for row in content {
                let on_hand = row["onHand"].as_i64().context("a quantity")?;
                ensure!(on_hand >= 0, "below zero: {row}");
                units += on_hand;
            }
            let Some(cursor) = page["nextCursor"].as_str() else {
                ensure!(
                    page["page"]["totalElements"] == rows,
                    "{rows} rows were listed of {}",
                    page["page"]
                );
                return Ok(units);
            };
            target = format!("{first}&cursor={cursor}");
        }
    }
}

/// Sends one request, whose answer must have this status, and answers the body.
///
/// # Errors
/// When it has another.
pub fn once(load: &Load, body: &[u8], status: u16) -> anyhow::Result<Vec<u8>> {
    let mut told = Vec::new();
    let mut outcome = None;
    load.drive_and_watch(
        |_, _, draft| draft.body.extend_from_slice(body),
        |answer| {
            outcome = answer.status;
            told.extend_from_slice(answer.body);
        },
    )?;
    ensure!(
        outcome == Some(status),
        "{} {} was answered {outcome:?}: {}",
        load.method,
        load.target,
        String::from_utf8_lossy(&told)
    );
    Ok(told)
}

fn key_create(binary: &Path, data_folder: &Path) -> anyhow::Result<String> {
    let arguments: [&OsStr; 6] = [
        "key".as_ref(),
        "create".as_ref(),
        "bench".as_ref(),
        "--role=ADMIN".as_ref(),
        "--data-dir".as_ref(),
        data_folder.as_ref(),
    ];
    let output = Command::new(binary).args(arguments).output()?;
    ensure!(
        output.status.success(),
        "no key was made: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Where a server's tenant `default` has its ledger, below the data folder.
#[must_use]
pub fn ledger_folder(data_folder: &Path) -> PathBuf {
    data_folder.join("ledgers").join("default")
}
