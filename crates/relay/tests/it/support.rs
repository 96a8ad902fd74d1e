//! A NATS server, ledgers and relays for one test.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::jetstream::context::Context;
use async_nats::jetstream::stream::Stream;
use bincard_ledger::codec::Body;
use bincard_ledger::event::{CatalogueEvent, Event, Record};
use bincard_ledger::id::ProductNo;
use bincard_ledger::{PublicIds, Recorded, Timestamp, Version};
use bincard_relay::{Options, Relay, STREAM};
use bincard_store::Reader;
use bincard_store::disk::RealDisk;
use bincard_store::postgres::Database;
use bincard_store::segment::{self, Log};
use bincard_testkit::nats::Nats;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Far more than anything here takes: only what hangs runs into it.
const WITHIN: Duration = Duration::from_secs(120);

/// Makes records of a ledger, one after another.
pub(crate) fn body(first: u64, count: u64) -> Body {
    let mut body = Body::new(Timestamp::from_micros(1_700_000_000_000_000));
    for version in first..first + count {
        let no = ProductNo(u32::try_from(version).expect("works"));
        let name = format!("product {version}").into();
        body.push(&Record {
            version: Version(version),
            author: Uuid::from_u128(7),
            on_behalf_of: None,
            key: None,
            event: Event::Catalogue(CatalogueEvent::ProductCreated { no, name }),
        });
    }
    body
}

/// A tenant's ledger in a folder.
pub(crate) struct Ledger {
    pub(crate) tenant: String,
    pub(crate) reader: Reader,
    appender: segment::Appender,
    _folder: TempDir,
}

impl Ledger {
    pub(crate) fn open(tenant: &str) -> Ledger {
        let folder = tempfile::tempdir().expect("works");
        let options = segment::Options {
            segment_bytes: 1 << 20,
            ..segment::Options::default()
        };
        let opened = Log::open(Arc::new(RealDisk), folder.path(), options).expect("works");
        Ledger {
            tenant: tenant.to_owned(),
            reader: opened.reader.into(),
            appender: opened.appender,
            _folder: folder,
        }
    }

    /// Appends events in one commit.
    pub(crate) fn append(&mut self, count: u64) {
        self.appender
            .commit(&body(self.head() + 1, count))
            .expect("works");
    }

    pub(crate) fn head(&self) -> u64 {
        self.reader.head().position.0
    }
}

/// A message as it lies in the stream.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    /// By its id; `None` of a foreign one.
    pub(crate) position: Option<u64>,
    pub(crate) ledger: String,
    pub(crate) body: String,
    pub(crate) content_type: String,
}

pub(crate) fn messages_of(messages: &[Message], ledger: &Ledger) -> Vec<Message> {
    let id = Uuid::from_bytes(ledger.reader.ledger().0).to_string();
    let of = messages.iter().filter(|message| message.ledger == id);
    of.cloned().collect()
}

pub(crate) fn positions(messages: &[Message]) -> Vec<u64> {
    messages.iter().filter_map(|message| message.position).collect()
}

fn render(tenant: &str, _: PublicIds, recorded: &Recorded) -> Vec<u8> {
    format!("{tenant} {}", recorded.position).into_bytes()
}

/// A NATS server of a test's own.
pub(crate) struct Bench {
    pub(crate) nats: Mutex<Nats>,
    pub(crate) url: String,
}

impl Bench {
    pub(crate) fn start() -> Bench {
        let nats = Nats::start().expect("a private NATS starts");
        Bench {
            url: nats.url(),
            nats: Mutex::new(nats),
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            servers: self.url.parse().expect("an address"),
            credentials_file: None,
            replicas: 1,
            age_max: Duration::from_secs(3600),
            bytes_max: 0,
            render,
        }
    }

    /// A relay that runs.
    pub(crate) fn relay(&self, ledgers: &[&Ledger]) -> Running {
        let running = Running::start(Relay::new(self.options(), None));
        ledgers.iter().for_each(|ledger| running.follow(ledger));
        running
    }

    /// A relay of a node that runs.
    pub(crate) fn node(&self, database: &Database) -> Running {
        Running::start(Relay::new(self.options(), Some(database.clone())))
    }

    pub(crate) async fn context(&self) -> Context {
        let client = async_nats::connect(&self.url).await.expect("works");
        async_nats::jetstream::new(client)
    }

    pub(crate) async fn stream(&self) -> Stream {
        self.context().await.get_stream(STREAM).await.expect("works")
    }

    /// Everything in the stream, in order.
    pub(crate) async fn messages(&self) -> Vec<Message> {
        let stream = self.stream().await;
        let state = stream.get_info().await.expect("works").state;
        let mut messages = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.expect("works");
            let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned());
            let id = header("Nats-Msg-Id").unwrap_or_default();
            let (ledger, position) = id.split_once(':').unwrap_or_default();
            messages.push(Message {
                subject: message.subject.to_string(),
                position: position.parse().ok(),
                ledger: ledger.to_owned(),
                body: String::from_utf8(message.payload.to_vec()).expect("works"),
                content_type: header("Content-Type").unwrap_or_default(),
            });
        }
        messages
    }
}

/// A relay that runs, until it is stopped or killed.
pub(crate) struct Running {
    pub(crate) relay: Relay,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(relay: Relay) -> Running {
        let (stop, stopped) = oneshot::channel();
        let task = {
            let relay = relay.clone();
            tokio::spawn(async move { relay.run(async { drop(stopped.await) }).await })
        };
        Running {
            relay,
            stop: Some(stop),
            task,
        }
    }

    pub(crate) fn follow(&self, ledger: &Ledger) {
        self.relay.follow(&ledger.tenant, ledger.reader.clone());
    }

    /// Waits until everything is acknowledged.
    pub(crate) async fn has_relayed(&self, ledgers: &[&Ledger]) {
        for ledger in ledgers {
            let (tenant, head) = (&ledger.tenant, ledger.head());
            until("everything is relayed", || self.position(tenant) >= head).await;
        }
    }

    /// How far a tenant's ledger is.
    pub(crate) fn position(&self, tenant: &str) -> u64 {
        let standings = self.relay.standings();
        let of = standings.iter().find(|standing| standing.tenant == tenant);
        of.map_or(0, |standing| standing.position.0)
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) {
        self.stop.take();
        (&mut self.task).await.expect("works");
    }

    /// Ends it where it stands, as a process is killed.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        let ended = (&mut self.task).await;
        assert!(ended.is_err_and(|error| error.is_cancelled()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !holds() {
        assert!(Instant::now() < deadline, "it took too long until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What is logged on this thread, for tests whose runtime has this one thread.
#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    pub(crate) fn start() -> (Logged, tracing::subscriber::DefaultGuard) {
        let logged = Logged::default();
        let writer = logged.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || writer.clone())
            .finish();
        (logged, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("works").clone()).expect("works")
    }
}

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("works").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
