//! A bucket over a socket: as much of what S3 says on the wire as backups use, and what it does when it is unwell.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};

/// Never to be seen in what is said.
pub(crate) const SECRET: &str = "c2VjcmV0LW9mLXRoZS1idWNrZXQ";
/// A page of a listing has so many names, so that there are several.
const PAGE: usize = 2;
const NO_ANSWER: u16 = 0;

#[derive(Default)]
struct State {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    busy: AtomicUsize,
    loses: AtomicBool,
    refuses: AtomicBool,
    overwrites: AtomicBool,
    /// Who asks for this object gets no answer; whoever waits here hears that it was asked for.
    withheld: Mutex<Option<(String, mpsc::Sender<()>)>>,
    overwritten: AtomicUsize,
    continued: AtomicUsize,
}

pub(crate) struct Bucket {
    url: String,
    state: Arc<State>,
}

impl Bucket {
    pub(crate) fn start() -> Bucket {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || answer(&state, &stream));
            }
        });
        Bucket { url, state }
    }

    /// The environment that leads here.
    pub(crate) fn settings(&self, command: &mut Command) {
        command
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "shop")
            .env("AWS_SECRET_ACCESS_KEY", SECRET);
    }

    pub(crate) fn be_busy(&self, times: usize) {
        self.state.busy.store(times, SeqCst);
    }

    pub(crate) fn lose_an_answer(&self) {
        self.state.loses.store(true, SeqCst);
    }

    pub(crate) fn refuse_everybody(&self) {
        self.state.refuses.store(true, SeqCst);
    }

    /// Takes no notice of `If-None-Match`.
    pub(crate) fn overwrite(&self) {
        self.state.overwrites.store(true, SeqCst);
    }

    /// Puts every file of a folder below a prefix.
    pub(crate) fn load(&self, folder: &Path, prefix: &str) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("a file").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            let name = format!("{prefix}/{name}");
            if path.is_dir() {
                self.load(&path, &name);
            } else {
                let bytes = std::fs::read(&path).expect("an object");
                self.state.objects.lock().expect("no panic").insert(name, bytes);
            }
        }
    }

    /// Never answers who asks for an object; gives what waits until somebody does.
    pub(crate) fn withhold(&self, name: &str) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel();
        *self.state.withheld.lock().expect("no panic") = Some((name.to_owned(), sender));
        receiver
    }

    pub(crate) fn answer_all(&self) {
        *self.state.withheld.lock().expect("no panic") = None;
    }

    pub(crate) fn names_below(&self, prefix: &str) -> Vec<String> {
        let objects = self.state.objects.lock().expect("no panic");
        objects
            .keys()
            .filter(|name| name.starts_with(prefix))
            .cloned()
            .collect()
    }

    pub(crate) fn overwritten(&self) -> usize {
        self.state.overwritten.load(SeqCst)
    }

    pub(crate) fn pages_continued(&self) -> usize {
        self.state.continued.load(SeqCst)
    }
}

/// One request a connection.
fn answer(state: &State, stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let (status, more, bytes) = reply(state, &first, &headers, body);
    if status == NO_ANSWER {
        // Until whoever asked is gone.
        let _gone = reader.read(&mut [0]);
        return;
    }
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n",
        bytes.len()
    );
    let mut stream = stream;
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&bytes));
}

fn error(status: u16, code: &str) -> (u16, String, Vec<u8>) {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>");
    (status, String::new(), text.into_bytes())
}

fn reply(
    state: &State,
    first: &str,
    headers: &BTreeMap<String, String>,
    body: Vec<u8>,
) -> (u16, String, Vec<u8>) {
    let signed = headers
        .get("authorization")
        .is_some_and(|given| given.starts_with("AWS4-HMAC-SHA256 "));
    if !signed || state.refuses.load(SeqCst) {
        return error(403, "AccessDenied");
    }
    if state
        .busy
        .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
        .is_ok()
    {
        return error(503, "SlowDown");
    }
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(name) = path.strip_prefix("/backups") else {
        return error(404, "NoSuchBucket");
    };
    let name = name.trim_start_matches('/').to_owned();
    if method == "GET"
        && let Some((withheld, asked)) = &*state.withheld.lock().expect("no panic")
        && *withheld == name
    {
        // Nobody listens any more when it is asked for again.
        let _told = asked.send(());
        return (NO_ANSWER, String::new(), Vec::new());
    }
    let mut objects = state.objects.lock().expect("no panic");
    match method {
        "PUT" => {
            let is_to_be_new = headers.get("if-none-match").is_some_and(|given| given == "*");
            if is_to_be_new && objects.contains_key(&name) && !state.overwrites.load(SeqCst) {
                return error(412, "PreconditionFailed");
            }
            if objects.insert(name, body).is_some() {
                state.overwritten.fetch_add(1, SeqCst);
            }
            if state.loses.swap(false, SeqCst) {
                return error(500, "InternalError");
            }
            (200, "ETag: \"1\"\r\n".to_owned(), Vec::new())
        }
        "GET" if query.contains("list-type=2") => list(state, &objects, query),
        "GET" => match objects.get(&name) {
            None => error(404, "NoSuchKey"),
            Some(bytes) => {
                let more = "ETag: \"1\"\r\nLast-Modified: Wed, 21 Oct 2026 07:28:00 GMT\r\n";
                (200, more.to_owned(), bytes.clone())
            }
        },
        _ => error(405, "MethodNotAllowed"),
    }
}

fn list(state: &State, objects: &BTreeMap<String, Vec<u8>>, query: &str) -> (u16, String, Vec<u8>) {
    let given = |wanted: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut found = pairs
            .filter(|pair| pair.0 == wanted)
            .map(|pair| pair.1.replace("%2F", "/"));
        found.next_back().unwrap_or_default()
    };
    let (prefix, delimiter) = (given("prefix"), given("delimiter"));
    let token = given("continuation-token");
    if !token.is_empty() {
        state.continued.fetch_add(1, SeqCst);
    }
    let after = if token.is_empty() {
        given("start-after")
    } else {
        token
    };
    let (mut contents, mut folders, mut count, mut last) = (String::new(), Vec::new(), 0, String::new());
    let mut is_cut = false;
    for (name, bytes) in objects
        .iter()
        .filter(|(name, _)| name.starts_with(&prefix) && **name > after)
    {
        if count == PAGE {
            is_cut = true;
            break;
        }
        last.clone_from(name);
        let rest = &name[prefix.len()..];
        match rest.split_once('/').filter(|_| delimiter == "/") {
            Some((folder, _)) => {
                let folder = format!("{prefix}{folder}/");
                if !folders.contains(&folder) {
                    folders.push(folder);
                }
            }
            None => {
                count += 1;
                contents.push_str(&format!(
                    "<Contents><Key>{name}</Key><LastModified>2026-10-21T07:28:00.000Z</LastModified>\
                     <ETag>\"1\"</ETag><Size>{}</Size></Contents>",
                    bytes.len()
                ));
            }
        }
    }
    let next = if is_cut {
        format!("<NextContinuationToken>{last}</NextContinuationToken>")
    } else {
        String::new()
    };
    let folders: String = folders
        .iter()
        .map(|folder| format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"))
        .collect();
    let text = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>{is_cut}</IsTruncated>{next}{contents}{folders}</ListBucketResult>"
    );
    (200, String::new(), text.into_bytes())
}
