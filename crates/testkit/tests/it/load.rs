//! The load driver against small servers that do exactly what a test needs.

use bincard_testkit::load::{Load, LoadError, Pace, Until};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// One request as a server saw it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    first_line: String,
    fields: Vec<String>,
    body: String,
}

/// A server that answers by `answer`, called with the request and its number on the connection; `None` closes
/// the connection without a word.
fn serve(answer: impl Fn(&Seen, u64) -> Option<String> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            std::thread::spawn(move || serve_connection(stream.unwrap(), &answer));
        }
    });
    address
}

fn serve_connection(mut stream: TcpStream, answer: &impl Fn(&Seen, u64) -> Option<String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for number in 0.. {
        let Some(seen) = read_request(&mut reader) else {
            return;
        };
        let Some(text) = answer(&seen, number) else { return };
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let first_line = lines.remove(0);
    let length = lines
        .iter()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen {
        first_line,
        fields: lines,
        body: String::from_utf8(body).unwrap(),
    })
}

fn ok(body: &str) -> Option<String> {
    Some(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn every_request_is_sent_once_and_its_answer_handed_over() {
    let address = serve(|seen, _| ok(&seen.body));
    let load = Load::post(address, "/echo", 7, Until::Requests(1000));
    let mut echoed = BTreeSet::new();
    let outcome = load
        .drive_and_watch(
            |_, request, draft| draft.body.extend_from_slice(request.to_string().as_bytes()),
            |answer| {
                assert_eq!(answer.body, answer.request.to_string().as_bytes());
                assert!(echoed.insert(answer.request));
            },
        )
        .unwrap();
    assert_eq!(
        (outcome.answered, outcome.count(200), outcome.lost),
        (1000, 1000, 0)
    );
    assert_eq!(echoed, (0..1000).collect());
    assert_eq!(outcome.latencies_ns().len(), 1000);
    assert!(outcome.latency(0.5) <= outcome.latency(0.999) && outcome.latency(0.999) <= outcome.wall);
}

#[test]
fn a_request_goes_over_the_wire_as_it_was_drafted() {
    let (said, heard) = sync_channel(2);
    let address = serve(move |seen, _| {
        let Seen {
            first_line,
            fields,
            body,
        } = seen;
        said.send(Seen {
            first_line: first_line.clone(),
            fields: fields.clone(),
            body: body.clone(),
        })
        .unwrap();
        ok("")
    });
    let load = Load::post(address, "/a", 1, Until::Requests(2)).header("authorization", "Bearer x");
    load.drive(|_, request, draft| {
        if request == 1 {
            draft.target.extend_from_slice(b"/b?c=1");
        }
        draft
            .headers
            .extend_from_slice(format!("idempotency-key: k{request}\r\n").as_bytes());
        draft.body.extend_from_slice(b"{}");
    })
    .unwrap();
    let fields = |key: &str| {
        let host = format!("host: {address}");
        let lines = [
            &host,
            "content-type: application/json",
            "authorization: Bearer x",
            key,
            "content-length: 2",
        ];
        lines.map(str::to_owned).to_vec()
    };
    for (first_line, key) in [("POST /a HTTP/1.1", "k0"), ("POST /b?c=1 HTTP/1.1", "k1")] {
        let expected = Seen {
            first_line: first_line.to_owned(),
            fields: fields(&format!("idempotency-key: {key}")),
            body: "{}".to_owned(),
        };
        assert_eq!(heard.recv().unwrap(), expected);
    }
}

#[test]
fn answers_are_counted_by_status_and_chunks_understood() {
    let address = serve(|_, number| match number % 4 {
        0 => Some("HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\n{}".to_owned()),
        _ => {
            Some("HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_owned())
        }
    });
    let outcome = Load::read(address, "/", 1, Until::Requests(100))
        .drive(|_, _, _| ())
        .unwrap();
    assert_eq!(
        (outcome.count(201), outcome.count(409), outcome.count(500)),
        (75, 25, 0)
    );
}

#[test]
fn a_lost_connection_is_an_unknown_outcome_and_the_drive_goes_on() {
    let address = serve(|_, number| if number == 4 { None } else { ok("") });
    let mut lost = Vec::new();
    let outcome = Load::read(address, "/", 1, Until::Requests(15))
        .drive_and_watch(
            |_, _, _| (),
            |answer| {
                if answer.status.is_none() {
                    lost.push(answer.request);
                }
            },
        )
        .unwrap();
    assert_eq!((outcome.answered, outcome.lost), (12, 3));
    assert_eq!(lost, [4, 9, 14]);
}

#[test]
fn a_connection_that_the_server_closes_politely_costs_no_request() {
    let address =
        serve(|_, _| Some("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned()));
    let outcome = Load::read(address, "/", 2, Until::Requests(20))
        .drive(|_, _, _| ())
        .unwrap();
    assert_eq!((outcome.answered, outcome.lost), (20, 0));
}

#[test]
fn a_stall_is_not_hidden_by_an_open_loop() {
    // One answer takes 300 ms. Requests are due every millisecond on one connection: all that are due in the
    // stall must have waited, the first of them nearly all of it.
    let stall = Duration::from_millis(300);
    let address = serve(move |_, number| {
        if number == 100 {
            std::thread::sleep(stall);
        }
        ok("")
    });
    let load = Load {
        pace: Pace::OpenLoop { per_second: 1000.0 },
        ..Load::read(address, "/", 1, Until::Requests(1000))
    };
    let outcome = load.drive(|_, _, _| ()).unwrap();
    assert_eq!((outcome.answered, outcome.unsent), (1000, 0));
    assert!(outcome.latency_max() >= stall);
    // A closed loop would see one slow answer in a thousand; here it is about 300.
    assert!(
        outcome.latency(0.90) >= stall / 4,
        "the 900th of 1000 waited {:?}",
        outcome.latency(0.90)
    );
    assert!(outcome.wall >= Duration::from_millis(999));
}

#[test]
fn a_server_gone_for_good_ends_the_drive() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        serve_connection(stream, &|_, number| if number < 3 { ok("") } else { None });
    });
    let outcome = Load::read(address, "/", 1, Until::Requests(1_000_000))
        .drive(|_, _, _| ())
        .unwrap();
    assert_eq!((outcome.answered, outcome.lost), (3, 1));
}

#[test]
fn nothing_to_connect_to_is_an_error() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Load::read(address, "/", 1, Until::Requests(1))
        .drive(|_, _, _| ())
        .unwrap_err();
    assert!(
        matches!(error, LoadError::Connect { connection: 0, .. }),
        "{error}"
    );
}

#[test]
fn an_answer_that_is_not_http_is_an_error() {
    let address = serve(|_, _| Some("hello\r\n\r\n".to_owned()));
    let error = Load::read(address, "/", 1, Until::Requests(1))
        .drive(|_, _, _| ())
        .unwrap_err();
    assert!(
        matches!(error, LoadError::Malformed { request: 0, .. }),
        "{error}"
    );
}

#[test]
fn a_body_larger_than_any_buffer_goes_through_both_ways() {
    let address = serve(|seen, _| ok(&seen.body));
    let body = "0123456789abcdef".repeat(1 << 18);
    let outcome = Load::post(address, "/", 2, Until::Requests(6))
        .drive_and_watch(
            |_, _, draft| draft.body.extend_from_slice(body.as_bytes()),
            |answer| {
                assert!(
                    answer.body == body.as_bytes(),
                    "{} bytes came back",
                    answer.body.len()
                )
            },
        )
        .unwrap();
    assert_eq!(outcome.count(200), 6);
}
