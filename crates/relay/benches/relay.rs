//! How fast events reach NATS: how many a second are acknowledged when there is a backlog, and how long it takes from the
//! append to a consumer at a thousand a second. On a private nats-server with its own settings, and a log in segment files
//! whose commits are durable. `--small` does just enough to see that it works.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use bincard_ledger::codec::Body;
use bincard_ledger::event::{CatalogueEvent, Event, Record};
use bincard_ledger::id::ProductNo;
use bincard_ledger::{PublicIds, Recorded, Timestamp, Version};
use bincard_relay::{Options, Relay};
use bincard_store::disk::RealDisk;
use bincard_store::segment::{self, Log};
use bincard_testkit::nats::Nats;
use futures_util::StreamExt as _;
use hdrhistogram::Histogram;
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Events that are appended together in the backlog.
const COMMIT_EVENTS: u64 = 256;
/// Of the paced part.
const PER_SECOND: u64 = 1_000;
/// A commit is made so often there.
const PACE: Duration = Duration::from_millis(10);

fn body(first: u64, count: u64) -> Body {
    let mut body = Body::new(Timestamp::from_micros(1_700_000_000_000_000));
    for version in first..first + count {
        let no = ProductNo(u32::try_from(version).unwrap_or(u32::MAX));
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

/// A body as long as an event of two lines has, with the position in front.
fn render(_: &str, _: PublicIds, recorded: &Recorded) -> Vec<u8> {
    format!("{:<900}", recorded.position.0).into_bytes()
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let small = std::env::args().any(|arg| arg == "--small" || arg == "--test");
    let (backlog, seconds) = if small { (2_560, 1) } else { (512_000, 20) };
    let nats = Nats::start()?;
    let folder = bincard_testkit::scratch::folder("bincard-relay-")?;
    let opened = Log::open(Arc::new(RealDisk), folder.path(), segment::Options::default())?;
    let (mut appender, reader) = (opened.appender, bincard_store::Reader::from(opened.reader));
    while appender.head().position.0 < backlog {
        appender.commit(&body(appender.head().position.0 + 1, COMMIT_EVENTS))?;
    }
    let options = Options {
        servers: nats.url().parse().expect("an address"),
        credentials_file: None,
        replicas: 1,
        age_max: Duration::from_secs(3600),
        bytes_max: 0,
        render,
    };
    let relay = Relay::new(options, None);
    let began = Instant::now();
    relay.follow("bench", reader.clone());
    let running = relay.clone();
    tokio::spawn(async move { running.run(std::future::pending()).await });
    let position = || {
        relay
            .standings()
            .first()
            .map_or(0, |standing| standing.position.0)
    };
    while position() < backlog {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let per_second = backlog as f64 / began.elapsed().as_secs_f64();

    let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await?);
    let stream = context.get_stream(bincard_relay::STREAM).await?;
    let consumer = OrderedConfig {
        deliver_policy: DeliverPolicy::New,
        ..OrderedConfig::default()
    };
    let mut messages = stream.create_consumer(consumer).await?.messages().await?;
    let count = seconds * PER_SECOND;
    let each = PER_SECOND * PACE.as_millis() as u64 / 1_000;
    let (send, mut appended) = tokio::sync::mpsc::channel(1_024);
    std::thread::spawn(move || -> Result<(), bincard_store::CommitError> {
        let began = Instant::now();
        for round in 0..count / each {
            // By the clock, so that one slow commit does not make the next ones seem quick.
            let due = PACE * u32::try_from(round).unwrap_or(u32::MAX);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            let at = Instant::now();
            appender.commit(&body(appender.head().position.0 + 1, each))?;
            if send.blocking_send(at).is_err() {
                break;
            }
        }
        Ok(())
    });
    // In microseconds, up to a minute.
    let mut latencies = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    for _ in 0..count / each {
        let mut arrived = Vec::new();
        for _ in 0..each {
            messages.next().await.ok_or("the consumer ended")??;
            arrived.push(Instant::now());
        }
        let at = appended.recv().await.ok_or("the log cannot be appended to")?;
        for arrived in arrived {
            let took = arrived.saturating_duration_since(at).as_micros();
            latencies.record(u64::try_from(took)?)?;
        }
    }
    println!("| acknowledged/s | append to consumer p50 ms | p99 ms | most ms |");
    println!("| ---: | ---: | ---: | ---: |");
    let ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    println!(
        "| {per_second:.0} | {:.1} | {:.1} | {:.1} |",
        ms(0.5),
        ms(0.99),
        latencies.max() as f64 / 1e3
    );
    drop(nats);
    Ok(())
}
