//! The server driver against shell scripts that behave, or misbehave, as a server might.

use bincard_testkit::server::{Server, ServerError, ServerOptions};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

/// Answers every request on a port of ours, on behalf of a script that cannot.
fn answering(status: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        }
    });
    address
}

fn script(text: &str) -> ServerOptions {
    ServerOptions {
        binary: PathBuf::from("/bin/sh"),
        arguments: vec!["-c".into(), text.into()],
        environment: Vec::new(),
        ready_within: LONG,
        ready_path: Some("/readyz".to_owned()),
    }
}

/// A script that says where it listens, and then does something.
fn listening(then: &str) -> ServerOptions {
    script(&format!(
        "echo started >&2; echo listening on http://{}; {then}",
        answering("200 OK")
    ))
}

#[test]
fn a_server_is_asked_to_stop_and_does_its_last_work() {
    let mut server = Server::start(listening(
        "trap 'echo bye >&2; kill $!; exit 3' TERM; sleep 1000 & echo ready; wait",
    ))
    .unwrap();
    assert!(server.url("/x").unwrap().ends_with("/x"));
    while server.stdout() != "ready\n" {
        std::thread::yield_now();
    }
    assert_eq!(server.stop(LONG).unwrap().code(), Some(3));
    assert_eq!(server.stderr(), "started\nbye\n");
    assert!(matches!(server.address(), Err(ServerError::Down)));
}

#[test]
fn a_server_that_will_not_stop_is_killed_and_named() {
    let mut server = Server::start(listening(
        "trap '' TERM; echo ready; while :; do read -r _ </dev/zero; done",
    ))
    .unwrap();
    while server.stdout() != "ready\n" {
        std::thread::yield_now();
    }
    let error = server.stop(Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, ServerError::NotStopped { .. }), "{error}");
}

#[test]
fn a_child_that_outlives_the_server_does_not_hold_us_up() {
    let mut server = Server::start(listening("sleep 20 & echo $!; wait")).unwrap();
    let orphan = loop {
        if let Ok(pid) = server.stdout().trim().parse::<u32>() {
            break pid;
        }
        std::thread::yield_now();
    };
    server.kill_9().unwrap();
    assert_eq!(server.stderr(), "started\n");
    // It is still there to be ended, so we did not wait for it.
    let killed = std::process::Command::new("kill")
        .arg(orphan.to_string())
        .status()
        .unwrap();
    assert!(killed.success());
}

#[test]
fn a_killed_server_starts_again_and_what_it_said_is_kept() {
    let mut server = Server::start(listening("exec sleep 1000")).unwrap();
    let first = server.pid().unwrap();
    server.kill_9().unwrap();
    assert!(matches!(server.pid(), Err(ServerError::Down)));
    server.start_again().unwrap();
    assert_ne!(server.pid().unwrap(), first);
    server.kill_9().unwrap();
    assert_eq!(server.stderr(), "started\nstarted\n");
}

#[test]
fn a_server_that_ends_at_once_is_reported_with_its_words() {
    let error = Server::start(script("echo no such folder >&2; exit 2")).unwrap_err();
    let ServerError::Ended { status, stderr } = &error else {
        panic!("{error}")
    };
    assert_eq!((status.code(), stderr.as_str()), (Some(2), "no such folder\n"));
}

#[test]
fn a_server_that_is_never_ready_is_given_up() {
    let address = answering("503 Service Unavailable");
    let options = ServerOptions {
        ready_within: Duration::from_millis(100),
        ..script(&format!("echo listening on http://{address}; exec sleep 1000"))
    };
    let error = Server::start(options).unwrap_err();
    assert!(matches!(error, ServerError::NotReady { .. }), "{error}");
}
