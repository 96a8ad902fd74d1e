//! A way to a server that a test can cut and mend: for those who use it, the server is away and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bincard_testkit::postgres::Postgres;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    port: u16,
    whole: watch::Sender<bool>,
    turned_away_count: Arc<AtomicUsize>,
}

impl Proxy {
    /// Leads to where `target` leads: an address such as `127.0.0.1:5432`.
    pub(crate) async fn to(target: String) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (whole, seen) = watch::channel(true);
        let turned_away_count = Arc::new(AtomicUsize::new(0));
        let count = turned_away_count.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // While it is cut, whoever comes is hung up on.
                if *seen.borrow() {
                    tokio::spawn(lead(client, target.clone(), seen.clone()));
                } else {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Proxy {
            port,
            whole,
            turned_away_count,
        }
    }

    /// The address of one of the server's databases by this way.
    pub(crate) fn url(&self, server: &Postgres, database: &str) -> String {
        let url = server.tcp_url(database);
        let (before, _) = url.rsplit_once(':').unwrap();
        format!("{before}:{}/{database}", self.port)
    }

    /// From its return on, nothing gets through.
    pub(crate) async fn cut(&self) {
        self.whole.send_replace(false);
        // The one that is left waits for whoever comes.
        while self.whole.receiver_count() > 1 {
            tokio::task::yield_now().await;
        }
    }

    /// How many have come in vain.
    pub(crate) fn turned_away_count(&self) -> usize {
        self.turned_away_count.load(Ordering::Relaxed)
    }

    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn lead(mut client: TcpStream, target: String, mut whole: watch::Receiver<bool>) {
    let mut server = TcpStream::connect(target).await.unwrap();
    tokio::select! {
        _done = copy_bidirectional(&mut client, &mut server) => {}
        _cut = whole.wait_for(|whole| !whole) => {}
    }
}
