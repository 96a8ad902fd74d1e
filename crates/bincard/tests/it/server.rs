//! The server as a process: how it starts, what it says, how it ends, and imports through it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::ledger::Ledger;
use crate::program::{Scratch, example};

/// A server that is told to end, and waited for, when this is dropped.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it said before it said where it listens.
    said: String,
    pub(crate) url: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Running {
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.expect("it runs");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut running = Running {
            child,
            stdout,
            said: String::new(),
            url: String::new(),
        };
        while running.url.is_empty() {
            let mut line = String::new();
            let read = running.stdout.read_line(&mut line).expect("text");
            assert_ne!(read, 0, "it ended: {}", running.said);
            match line.trim_end().strip_prefix("listening on ") {
                Some(url) => running.url.push_str(url),
                None => running.said.push_str(&line),
            }
        }
        running
    }

    /// Sends SIGTERM and answers the exit code and what else it said.
    pub(crate) fn stop(self) -> (Option<i32>, String) {
        self.stop_by(rustix::process::Signal::TERM)
    }

    fn stop_by(mut self, signal: rustix::process::Signal) -> (Option<i32>, String) {
        let pid =
            rustix::process::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("it is there");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        (self.child.wait().expect("it ends").code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where a test came to its end.
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

pub(crate) fn serve(scratch: &Scratch) -> Running {
    Running::start(scratch.command().args(["serve", "--listen", "127.0.0.1:0"]))
}

pub(crate) fn key(scratch: &Scratch) -> String {
    if !scratch.data().exists() {
        scratch.begin();
    }
    scratch
        .run(["key", "create", "import"])
        .succeeds()
        .stdout
        .trim()
        .to_owned()
}

#[test]
fn the_first_admin_is_made_once_and_its_password_shown_once() {
    let scratch = Scratch::new();
    let first = serve(&scratch);
    assert!(
        first
            .said
            .contains("made the first ADMIN: admin@localhost with password "),
        "{}",
        first.said
    );
    assert_eq!(first.stop().0, Some(0), "SIGTERM ends it in order");
    let second = serve(&scratch);
    assert_eq!(second.said, "");
    assert_eq!(second.stop().0, Some(0));

    let scratch = Scratch::new();
    let mut command = scratch.command();
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command
        .env("BINCARD_ADMIN_EMAIL", "boss@example.com")
        .env("BINCARD_ADMIN_PASSWORD", "correct horse");
    let server = Running::start(&mut command);
    assert_eq!(server.said, "", "a password that was given is not shown");
    assert!(
        scratch
            .run(["user", "list"])
            .succeeds()
            .stdout
            .contains("boss@example.com\tadmin\tADMIN\tservice\tyes")
    );
}

#[test]
fn every_signal_that_asks_for_an_end_gets_an_orderly_one() {
    let scratch = Scratch::new();
    for signal in [
        rustix::process::Signal::TERM,
        rustix::process::Signal::INT,
        rustix::process::Signal::HUP,
    ] {
        let (code, _) = serve(&scratch).stop_by(signal);
        assert_eq!(code, Some(0), "{signal:?}");
    }
}

#[test]
fn a_seller_is_given_only_warehouses_of_the_ledger() {
    let scratch = Scratch::new();
    scratch.begin();
    let create = |id: &str| scratch.run(["key", "create", "till", "--role", "SELLER", "--warehouse", id]);
    let stranger = "5f1c2f3e-8d0a-4c58-9a2b-6f1d2e3c4b5a";
    create(stranger).fails_with(2, "tenant default has no warehouse with the id 5f1c2f3e");
    scratch.file("in.csv", "sku,n\nA,2\n");
    let mapping = "source = \"in\"\n[columns]\nsku = \"sku\"\nquantity = \"n\"\n[time]\nvalue = \"2024-01-01T00:00:00Z\"\n\
                   [warehouse]\ncode = \"W1\"\n[[rules]]\nname = \"in\"\nkind = \"INBOUND\"\n";
    scratch.file("in.toml", mapping);
    scratch
        .run(["import", "in.csv", "--mapping", "in.toml"])
        .succeeds();
    let dump = scratch.run(["log", "dump"]).succeeds().stdout;
    let made = dump
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .find(|event| event["type"] == "WAREHOUSE_CREATED")
        .unwrap_or_else(|| panic!("no warehouse in {dump}"));
    let warehouse = made["warehouseId"]
        .as_str()
        .unwrap_or_else(|| panic!("no id in {made}"))
        .to_owned();
    create(&warehouse).succeeds();
    create(stranger).fails_with(2, "tenant default has no warehouse with the id 5f1c2f3e");
    let server = serve(&scratch);
    let ran = create(&warehouse).succeeds();
    assert!(ran.stderr.contains("taken unchecked"), "{ran:?}");
    drop(server);
}

#[test]
fn an_import_fails_when_the_server_answers_fewer_lines_than_it_was_sent() {
    let scratch = Scratch::new();
    scratch.file("out.csv", "sku,n\nA,2\nB,3\n");
    let mapping = "source = \"out\"\n[columns]\nsku = \"sku\"\nquantity = \"n\"\n[time]\nvalue = \"2024-01-01T00:00:00Z\"\n\
                   [warehouse]\ncode = \"W1\"\n[[rules]]\nname = \"out\"\nkind = \"OUTBOUND\"\n";
    scratch.file("out.toml", mapping);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    // It answers one line to whatever it is sent: enough for the warehouse, too little for the two variants.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).expect("a header");
                let line = line.trim_end().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                }
                if line.is_empty() {
                    break;
                }
            }
            stream.read_exact(&mut vec![0; length]).expect("a body");
            let body = "{\"line\":1,\"status\":201,\"id\":\"5f1c2f3e-8d0a-4c58-9a2b-6f1d2e3c4b5a\"}\n";
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let mut stream = stream.into_inner();
            stream.write_all((head + body).as_bytes()).expect("an answer");
        }
    });
    scratch
        .run([
            "import",
            "out.csv",
            "--mapping",
            "out.toml",
            "--url",
            &url,
            "--key",
            "k",
        ])
        .fails_with(1, "the server answered 1 lines of 2");
}

#[test]
fn a_folder_in_use_is_named() {
    let scratch = Scratch::new();
    let server = serve(&scratch);
    let says = format!("{} is in use by another process", scratch.data().display());
    scratch
        .run(["serve", "--listen", "127.0.0.1:0"])
        .fails_with(1, &says);
    scratch.run(["verify"]).fails_with(1, &says);
    scratch.file("rows.csv", "a\n");
    let mapping = example("opening-stock.toml");
    scratch
        .run([
            "import".as_ref(),
            "rows.csv".as_ref(),
            "--mapping".as_ref(),
            mapping.as_os_str(),
        ])
        .fails_with(1, &says);
    let address = server.url.strip_prefix("http://").expect("a URL");
    let other = Scratch::new();
    other
        .run(["serve", "--listen", address])
        .fails_with(1, "cannot listen at");
    other
        .run(["serve", "--listen", "nowhere"])
        .fails_with(2, "is not an address");
}

#[test]
fn an_import_begun_in_the_folder_goes_on_through_the_server_and_back() {
    let scratch = Scratch::new();
    let lines = example("lines.csv.gz");
    let import = |file: &str, mapping: &str, more: &[&str]| {
        let mut command = scratch.command();
        command
            .arg("import")
            .arg(example(file))
            .arg("--mapping")
            .arg(example(mapping))
            .args(more);
        command
            .arg("--strict")
            .arg("--rejects")
            .arg(scratch.path("rejects.csv"));
        command.arg("--report").arg(scratch.path("report.json"));
        crate::program::Ran::from(command.output().expect("it runs")).succeeds();
        let report: serde_json::Value = serde_json::from_str(&scratch.text("report.json")).expect("JSON");
        report
    };
    import("opening-stock.csv.gz", "opening-stock.toml", &[]);
    // Of the lines, a third; the rest through a server.
    let mut text = String::new();
    let gzip = std::fs::File::open(&lines).expect("the excerpt");
    flate2::read::GzDecoder::new(gzip)
        .read_to_string(&mut text)
        .expect("text");
    let (end, _) = text.match_indices('\n').nth(1_500).expect("so many lines");
    // The last invoice may be cut, and would then differ: leave it out.
    let invoice = |line: &str| line.split(',').nth(1).expect("an invoice").to_owned();
    let last = invoice(text[..end].lines().last().expect("lines"));
    let part: String = text[..end]
        .lines()
        .filter(|line| invoice(line) != last)
        .map(|line| format!("{line}\n"))
        .collect();
    scratch.file("part.csv", part);
    let mapping = example("mapping.toml");
    let arguments = [
        "import".as_ref(),
        "part.csv".as_ref(),
        "--mapping".as_ref(),
        mapping.as_os_str(),
    ];
    scratch.run(arguments).succeeds();

    let key = key(&scratch);
    let server = serve(&scratch);
    let through = ["--url", &server.url, "--key", &key];
    let report = import("lines.csv.gz", "mapping.toml", &through);
    let count =
        |report: &serde_json::Value, of: &str| report["files"][0][of]["events"].as_u64().expect("a number");
    let recorded = count(&report, "recorded");
    assert!(recorded > 0 && count(&report, "replayed") > 0, "{report}");
    assert_eq!(recorded + count(&report, "replayed"), 231);
    let again = import("lines.csv.gz", "mapping.toml", &through);
    assert_eq!((count(&again, "recorded"), count(&again, "replayed")), (0, 231));
    assert_eq!(again["head"], report["head"]);
    assert_eq!(server.stop().0, Some(0));

    let back = import("lines.csv.gz", "mapping.toml", &[]);
    assert_eq!((count(&back, "recorded"), count(&back, "replayed")), (0, 231));
    assert_eq!(back["head"], report["head"]);
    assert_eq!(Ledger::open(&scratch.data()).head().1, report["head"]["hash"]);
}

#[test]
fn what_a_server_refuses_is_told_with_skus() {
    let scratch = Scratch::new();
    let key = key(&scratch);
    let server = serve(&scratch);
    scratch.file("out.csv", "sku,n\nA,2\nB,3\n");
    let mapping = "source = \"out\"\n[columns]\nsku = \"sku\"\nquantity = \"n\"\n[time]\nvalue = \"2024-01-01T00:00:00Z\"\n\
                   [warehouse]\ncode = \"W1\"\n[[rules]]\nname = \"out\"\nkind = \"OUTBOUND\"\n";
    scratch.file("out.toml", mapping);
    let run = |url: &str, key: &str| {
        scratch.run([
            "import",
            "out.csv",
            "--mapping",
            "out.toml",
            "--url",
            url,
            "--key",
            key,
        ])
    };
    let ran = run(&server.url, &key);
    assert_eq!(ran.code, Some(0), "it made the catalogue: {ran:?}");
    let refused = scratch.text("out.csv.refused.csv");
    assert!(
        refused.contains(
            "2,\"not enough stock: SKU A: 2 asked for, 0 there; SKU B: 3 asked for, 0 there\",import:out:"
        ),
        "{refused}"
    );
    scratch.file("in.csv", "sku,n\nA,9\nB,9\n");
    scratch.file(
        "in.toml",
        mapping
            .replace("OUTBOUND", "INBOUND")
            .replace("\"out\"", "\"in\""),
    );
    let through = |file: &str, mapping: &str| {
        let server = ["--url", &server.url, "--key", &key];
        scratch.run(["import", file, "--mapping", mapping].iter().chain(&server))
    };
    through("in.csv", "in.toml").succeeds();
    through("out.csv.refused.csv", "out.toml").succeeds();
    let again = through("out.csv", "out.toml").succeeds();
    assert!(
        again.stdout.contains("recorded before       1 with 2 lines"),
        "{again:?}"
    );
    // The same event with another quantity.
    scratch.file("out.csv", "sku,n\nA,2\nB,4\n");
    through("out.csv", "out.toml").fails_with(1, "1 event was in conflict with what is recorded already");
    assert!(
        scratch
            .text("out.csv.conflicts.csv")
            .contains("2,this event is recorded already with other content"),
    );
    run(&server.url, "bck_nonsense").fails_with(1, "the server does not know this --key");
    run("ftp://x", &key).fails_with(2, "is not a URL");
}

#[test]
fn verify_and_rebuild_hold_views_against_the_log() {
    let scratch = Scratch::new();
    let mapping = example("opening-stock.toml");
    let file = example("opening-stock.csv.gz");
    let rejects = scratch.path("rejects.csv");
    scratch
        .run([
            "import".as_ref(),
            file.as_os_str(),
            "--mapping".as_ref(),
            mapping.as_os_str(),
            "--rejects".as_ref(),
            rejects.as_os_str(),
        ])
        .succeeds();
    let said = scratch.run(["verify"]).succeeds().stdout;
    for view in ["log: ", "state: ", "stock: ", "history: ", "catalogue: "] {
        assert!(said.contains(view), "{said}");
    }
    assert!(
        scratch
            .run(["snapshot"])
            .succeeds()
            .stdout
            .starts_with("snapshot at position ")
    );
    let said = scratch.run(["rebuild", "stock"]).succeeds().stdout;
    assert!(said.starts_with("stock: built anew up to position "), "{said}");
    scratch.run(["rebuild", "shock"]).fails_with(
        2,
        "there is no view \"shock\"; there are stock, history, catalogue, reservations, exceptions, transfers, counts",
    );
    scratch.run(["verify"]).succeeds();

    let dump = scratch
        .run(["log", "dump", "--after", "1690", "--limit", "8"])
        .succeeds()
        .stdout;
    let events: Vec<serde_json::Value> = dump
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let positions: Vec<u64> = events
        .iter()
        .filter_map(|event| event["position"].as_u64())
        .collect();
    assert_eq!(positions, (1_691..=1_698).collect::<Vec<_>>());
    assert_eq!(
        (&events[4]["type"], &events[6]["type"]),
        (&"VARIANT_CREATED".into(), &"INBOUND".into())
    );
    let head = scratch.run(["log", "head"]).succeeds().stdout;
    assert!(head.starts_with("position\t1698\n"), "{head}");

    // A view is damaged where opening it does not look: verify says what mends it, and that does.
    damage(&view_file(&scratch, "history"), |pages| {
        // A page of rows of a table without rowids begins with this byte; the last of them is none that opening reads.
        pages
            .iter()
            .rposition(|page| page[0] == 0x0A)
            .expect("a page of rows")
    });
    let ran = scratch.run(["verify"]).fails_with(
        1,
        "a view is damaged, and the log is whole: `bincard rebuild history` builds it anew from the log",
    );
    assert!(
        ran.stdout.contains("\nhistory: generation 1 is damaged\n  "),
        "{ran:?}"
    );
    assert!(
        ran.stdout.contains("\ncatalogue: "),
        "the others are looked at: {ran:?}"
    );
    scratch.run(["rebuild", "history"]).succeeds();
    scratch.run(["verify"]).succeeds();

    // Where opening a view meets the damage, it is built anew before verify compares it: told, and once.
    damage(&view_file(&scratch, "catalogue"), |_| 1);
    let ran = scratch.run(["verify"]).fails_with(
        1,
        "the view catalogue was damaged and has been built anew from the log, which is whole",
    );
    let told = "\ncatalogue: generation 1 was damaged and has been built anew: ";
    assert!(ran.stdout.contains(told), "{ran:?}");
    scratch.run(["verify"]).succeeds();

    // A byte of the log is flipped: named, and never served.
    let log = walk(&scratch.data().join("ledgers/default"));
    let segment = log
        .iter()
        .max_by_key(|path| std::fs::metadata(path).map_or(0, |data| data.len()))
        .expect("a log");
    let mut bytes = std::fs::read(segment).expect("the log");
    let at = bytes
        .windows(6)
        .position(|window| window == b"85123A")
        .expect("a SKU");
    bytes[at] ^= 1;
    std::fs::write(segment, bytes).expect("the log");
    let ran = scratch.run(["verify"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

/// The file of a view.
pub(crate) fn view_file(scratch: &Scratch, view: &str) -> std::path::PathBuf {
    let files = walk(&scratch.data().join("ledgers/default/views"));
    let is_it = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(view) && name.ends_with(".db")
    };
    files.into_iter().find(is_it).expect("a view")
}

/// Overwrites one page of a database.
fn damage(path: &std::path::Path, which: impl Fn(&[&[u8]]) -> usize) {
    let mut bytes = std::fs::read(path).expect("a view");
    let page_bytes = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    let page = which(&bytes.chunks_exact(page_bytes).collect::<Vec<_>>());
    bytes[page * page_bytes..][..page_bytes].fill(0xA5);
    std::fs::write(path, bytes).expect("a view");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files
        .into_iter()
        .chain(folders.iter().flat_map(|folder| walk(folder)))
        .collect()
}

#[test]
fn what_the_demo_says_to_paste_works_when_pasted() {
    let scratch = Scratch::new();
    let mut command = scratch.command();
    command
        .env("TMPDIR", scratch.path(""))
        .args(["demo", "--listen", "127.0.0.1:0"]);
    let mut demo = Running::start(&mut command);
    let mut said = String::new();
    while !said.contains("End: Ctrl-C") {
        let read = demo.stdout.read_line(&mut said).expect("text");
        assert_ne!(read, 0, "{said}");
    }
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(lines.len(), 6, "{said}");
    let paste = |line: &str| {
        let ran = Command::new("sh")
            .args(["-c", line])
            .output()
            .expect("sh and curl are there");
        let text = String::from_utf8(ran.stdout).expect("text");
        serde_json::from_str::<serde_json::Value>(&text)
            .unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    };
    let on_hand = |answer: serde_json::Value| answer["content"][0]["onHand"].as_i64().expect("a number");
    let before = on_hand(paste(lines[0]));
    let at_noon = on_hand(paste(lines[1]));
    assert!(before < at_noon, "it sold after noon of that day");
    let sale = paste(lines[2]);
    assert_eq!(paste(lines[2])["id"], sale["id"], "the same sale, not another");
    assert_eq!(paste(lines[3])["shortages"][0]["available"], before - 3);
    wait_until(|| on_hand(paste(lines[0])) == before - 3);
    wait_until(|| paste(lines[4])["content"][0]["id"] == sale["id"]);
    assert!(paste(lines[5])["head"]["position"].as_u64() > Some(1_900));
    let folder = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("data "))
        .expect("where the data is");
    let folder = std::path::PathBuf::from(folder.trim().split(" (").next().expect("a path"));
    assert!(folder.is_dir());
    assert_eq!(demo.stop().0, Some(0));
    assert!(!folder.exists(), "the scratch folder is removed");
}

/// Views follow the log within milliseconds, and a backup within seconds; a minute is a hang.
pub(crate) fn wait_until(mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never came to hold");
    }
}
