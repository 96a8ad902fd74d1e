//! A bucket over a socket: as much of what S3 says on the wire as backups use, and what it does when it is unwell.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};

use bincard_testkit::certificates;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Never to be seen in what is said.
pub(crate) const SECRET: &str = "c2VjcmV0LW9mLXRoZS1idWNrZXQ";
/// A page of a listing has so many names, so that there are several.
const PAGE: usize = 2;

#[derive(Default)]
struct State {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    busy: AtomicUsize,
    loses: AtomicBool,
    refuses: AtomicBool,
    overwrites: AtomicBool,
    /// The next such request waits here.
    held: Mutex<Option<Holding>>,
    /// The access keys and the tokens that requests came with.
    credentials: Mutex<BTreeSet<(String, String)>>,
    overwritten: AtomicUsize,
    continued: AtomicUsize,
}

struct Holding {
    method: &'static str,
    name: String,
    arrived: mpsc::Sender<()>,
    release: mpsc::Receiver<()>,
}

/// A request that is held back; it never gets an answer when this is dropped.
pub(crate) struct Held {
    arrived: mpsc::Receiver<()>,
    release: mpsc::Sender<()>,
}

impl Held {
    pub(crate) fn wait(&self) {
        self.arrived.recv().expect("the bucket is there");
    }

    pub(crate) fn let_go(self) {
        self.release.send(()).expect("it is held");
    }
}

pub(crate) struct Bucket {
    url: String,
    state: Arc<State>,
}

impl Bucket {
    pub(crate) fn start() -> Bucket {
        Bucket::start_as("http", answer)
    }

    pub(crate) fn start_with_tls() -> Bucket {
        let pair = certificates::first();
        let certificates = CertificateDer::pem_file_iter(&pair.certificate).expect("certificates");
        let certificates = certificates.collect::<Result<_, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .expect("they go together");
        let config = Arc::new(config);
        Bucket::start_as("https", move |state, stream| {
            let session = rustls::ServerConnection::new(config.clone()).expect("a session");
            answer(state, rustls::StreamOwned::new(session, stream));
        })
    }

    fn start_as(scheme: &str, answer: impl Fn(&State, TcpStream) + Send + Sync + 'static) -> Bucket {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(State::default());
        let (shared, answer) = (state.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, answer) = (shared.clone(), answer.clone());
                std::thread::spawn(move || answer(&state, stream));
            }
        });
        Bucket { url, state }
    }

    /// The environment that leads here, without credentials.
    pub(crate) fn address(&self, command: &mut Command) {
        command
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_REGION", "eu-central-1");
    }

    /// The environment that leads here.
    pub(crate) fn settings(&self, command: &mut Command) {
        self.address(command);
        command
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_ACCESS_KEY_ID", "shop")
            .env("AWS_SECRET_ACCESS_KEY", SECRET);
    }

    pub(crate) fn be_busy(&self, times: usize) {
        self.state.busy.store(times, SeqCst);
    }

    pub(crate) fn lose_an_answer(&self) {
        self.state.loses.store(true, SeqCst);
    }

    pub(crate) fn refuse_everybody(&self, refuses: bool) {
        self.state.refuses.store(refuses, SeqCst);
    }

    /// The access key and the token of every request that was signed.
    pub(crate) fn credentials(&self) -> BTreeSet<(String, String)> {
        self.state.credentials.lock().expect("no panic").clone()
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

    /// Holds the next such request back before anything comes of it.
    pub(crate) fn hold(&self, method: &'static str, name: &str) -> Held {
        let (arrives, arrived) = mpsc::channel();
        let (release, released) = mpsc::channel();
        *self.state.held.lock().expect("no panic") = Some(Holding {
            method,
            name: name.to_owned(),
            arrived: arrives,
            release: released,
        });
        Held { arrived, release }
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
fn answer(state: &State, stream: impl Read + Write) {
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
    let Some((status, more, bytes)) = reply(state, &first, &headers, body) else {
        return;
    };
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n",
        bytes.len()
    );
    let stream = reader.get_mut();
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&bytes))
        .and_then(|()| stream.flush());
}

/// A status, more headers, and a body.
type Reply = (u16, String, Vec<u8>);

fn error(status: u16, code: &str) -> Reply {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>");
    (status, String::new(), text.into_bytes())
}

/// The answer to a request, if it gets one.
fn reply(state: &State, first: &str, headers: &BTreeMap<String, String>, body: Vec<u8>) -> Option<Reply> {
    let given = |name: &str| headers.get(name).map(String::as_str).unwrap_or_default();
    let key = given("authorization").strip_prefix("AWS4-HMAC-SHA256 Credential=");
    let Some((key, _)) = key.and_then(|rest| rest.split_once('/')) else {
        return Some(error(403, "AccessDenied"));
    };
    let credentials = (key.to_owned(), given("x-amz-security-token").to_owned());
    state.credentials.lock().expect("no panic").insert(credentials);
    if state.refuses.load(SeqCst) {
        return Some(error(403, "AccessDenied"));
    }
    if state
        .busy
        .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
        .is_ok()
    {
        return Some(error(503, "SlowDown"));
    }
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(name) = path.strip_prefix("/backups") else {
        return Some(error(404, "NoSuchBucket"));
    };
    let name = name.trim_start_matches('/').to_owned();
    let mut held = state.held.lock().expect("no panic");
    let holding = held.take_if(|holding| (holding.method, &holding.name) == (method, &name));
    drop(held);
    if let Some(holding) = holding {
        holding.arrived.send(()).ok()?;
        holding.release.recv().ok()?;
    }
    let mut objects = state.objects.lock().expect("no panic");
    Some(match method {
        "PUT" => {
            let is_to_be_new = headers.get("if-none-match").is_some_and(|given| given == "*");
            if is_to_be_new && objects.contains_key(&name) && !state.overwrites.load(SeqCst) {
                return Some(error(412, "PreconditionFailed"));
            }
            if objects.insert(name, body).is_some() {
                state.overwritten.fetch_add(1, SeqCst);
            }
            if state.loses.swap(false, SeqCst) {
                return Some(error(500, "InternalError"));
            }
            (200, "ETag: \"1\"\r\n".to_owned(), Vec::new())
        }
        "DELETE" => {
            objects.remove(&name);
            (204, String::new(), Vec::new())
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
    })
}

fn list(state: &State, objects: &BTreeMap<String, Vec<u8>>, query: &str) -> Reply {
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
