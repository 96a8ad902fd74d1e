//! The private PostgreSQL: that it runs, takes connections, and leaves nothing behind.

use bincard_testkit::postgres::{Postgres, PostgresError};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Asks whether TLS is spoken: what listens answers `N` or `S` if, and only if, it is PostgreSQL.
fn is_postgres(mut stream: impl Read + Write) -> bool {
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    matches!(answer, [b'N' | b'S'])
}

fn port(postgres: &Postgres) -> u16 {
    let url = postgres.tcp_url("postgres");
    url.rsplit_once(':')
        .unwrap()
        .1
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

fn wait_until_gone(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while path.exists() {
        assert!(Instant::now() < deadline, "{} is still there", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_cluster_takes_connections_both_ways_and_leaves_nothing_behind() {
    let postgres = Postgres::start_with(&[("shared_buffers", "16MB")]).unwrap();
    let port = port(&postgres);
    assert!(is_postgres(TcpStream::connect(("127.0.0.1", port)).unwrap()));
    let socket = postgres.folder().join(format!(".s.PGSQL.{port}"));
    assert!(is_postgres(UnixStream::connect(socket).unwrap()));
    let folder = postgres.folder().to_owned();
    drop(postgres);
    assert!(!folder.exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn one_that_is_killed_is_started_again_and_leaves_nothing_behind_either() {
    let postgres = Postgres::start().unwrap();
    let (first, folder) = (postgres.pid().unwrap(), postgres.folder().to_owned());
    let killed = Command::new("kill").arg("-9").arg(first.to_string()).status();
    assert!(killed.unwrap().success());
    let is_back = || {
        let stream = TcpStream::connect(("127.0.0.1", postgres.port()));
        postgres.pid().is_ok_and(|pid| pid != first) && stream.is_ok_and(is_postgres)
    };
    while !is_back() {
        std::thread::yield_now();
    }
    drop(postgres);
    assert!(!folder.exists());
}

#[test]
fn a_panic_leaves_nothing_behind() {
    let (said, heard) = std::sync::mpsc::sync_channel(1);
    let panicked = std::thread::spawn(move || {
        let postgres = Postgres::start().unwrap();
        said.send(postgres.folder().to_owned()).unwrap();
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    assert!(!heard.recv().unwrap().exists());
}

#[test]
fn a_killed_holder_leaves_nothing_behind() {
    const HOLDER: &str = "BINCARD_TESTKIT_HOLDS_POSTGRES";
    if std::env::var_os(HOLDER).is_some() {
        let postgres = Postgres::start().unwrap();
        println!("\nholding {}", postgres.folder().display());
        loop {
            std::thread::park();
        }
    }
    let name = "postgres::a_killed_holder_leaves_nothing_behind";
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(HOLDER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let folder = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_prefix("holding ")?.to_owned()));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let folder = folder.expect("the holder says where its cluster lies");
    wait_until_gone(Path::new(&folder));
}

#[test]
fn a_setting_that_postgres_refuses_is_reported_in_its_words() {
    let error = Postgres::start_with(&[("no_such_setting", "1")]).unwrap_err();
    let PostgresError::Failed {
        what: "postgres",
        output,
    } = &error
    else {
        panic!("{error}")
    };
    assert!(output.contains("no_such_setting"), "{output}");
}
