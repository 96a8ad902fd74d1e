//! The listener: connections in, answers out, and an end without haste.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::App;
use crate::body::{Arriving, REST_MAX};
use crate::front::Front;
use crate::tls::LOOK_EVERY;
use crate::{feeding, relay, routes, shipping};

/// A connection that has not sent the head of a request for so long is closed.
const HEAD_SILENCE_MAX: Duration = Duration::from_secs(75);
/// How long a database may not answer while the server is to end.
const AWAY_MAX: Duration = Duration::from_secs(2);
/// How long requests may take to end once the databases were let go of.
const LET_GO_MAX: Duration = Duration::from_millis(500);
/// How often it is looked meanwhile.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HTTPS: HeaderValue = HeaderValue::from_static("https");
const IDLE_LEDGERS_EVERY: Duration = Duration::from_secs(60);
/// After a failure to accept (too many open files, say) it is tried again.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Every route with what stands before it, as a router: what [`serve`] serves, for tests and for other servers.
/// Requests count as coming from this machine.
pub fn router(app: Arc<App>) -> Router {
    let front = Front::new(app.clone(), routes::router(app));
    let local = std::net::Ipv4Addr::LOCALHOST.into();
    Router::new().fallback(move |request: Request<Body>| {
        let front = front.clone();
        async move { front.answer(request, local).await }
    })
}

/// Serves until `shutdown` ends; then accepts no more connections, ends followed streams, lets requests end (for as
/// long as the options allow), and closes every ledger, which makes durable what was queued. A database that does not answer
/// meanwhile is waited for no longer than a moment.
///
/// # Errors
/// When the listener cannot be asked for its address.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    let front = Arc::new(Front::new(app.clone(), routes::router(app.clone())));
    let mut connections = JoinSet::new();
    let upkeep = {
        let app = app.clone();
        tokio::spawn(async move { upkeep(&app).await })
    };
    let relaying = tokio::spawn(relay::run(app.clone()));
    let shipping = tokio::spawn(shipping::run(app.clone()));
    let feeding = tokio::spawn(feeding::run(app.clone()));
    let stopping = app.stopping.subscribe();
    tokio::select! {
        () = accept(&listener, &front, &mut connections, &stopping, &app) => {}
        () = shutdown => {}
    }
    drop(listener);
    tracing::info!("stopping: no more connections are accepted");
    app.stopping.send_replace(true);
    let mut letting_go = {
        let app = app.clone();
        tokio::spawn(async move { let_go_of_what_is_away(&app).await })
    };
    let drained = async { while connections.join_next().await.is_some() {} };
    let too_late = async {
        let let_go = async {
            drop((&mut letting_go).await);
            // Whoever waits for what is let go of is refused, but for one who waits in the middle of an answer of it.
            tokio::time::sleep(LET_GO_MAX).await;
        };
        drop(tokio::time::timeout(app.options.drain_max, let_go).await);
    };
    let in_time = tokio::select! {
        () = drained => true,
        () = too_late => false,
    };
    if !in_time {
        tracing::warn!(
            connections = connections.len(),
            "requests did not end in time and are broken off"
        );
        connections.shutdown().await;
    }
    upkeep.abort();
    if let Err(error) = relaying.await {
        tracing::error!(%error, "the relay ended early");
    }
    if let Err(error) = shipping.await {
        tracing::error!(%error, "the shipping of backups ended early");
    }
    if let Err(error) = feeding.await {
        tracing::error!(%error, "the feeding of views ended early");
    }
    app.close().await;
    letting_go.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Lets go of the databases when they do not answer for a while in which the server is to end: nobody knows for how long.
/// Ends once they are let go of, and never where there are none.
async fn let_go_of_what_is_away(app: &App) {
    let Some(database) = &app.options.database else {
        return std::future::pending().await;
    };
    let mut answered_at = Instant::now();
    while answered_at.elapsed() < AWAY_MAX {
        if database.answers().await {
            answered_at = Instant::now();
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
    tracing::warn!("PostgreSQL does not answer, and is waited for no longer");
    app.let_go_of_databases();
}

async fn upkeep(app: &App) {
    let ledgers = async {
        let mut every = tokio::time::interval(IDLE_LEDGERS_EVERY);
        loop {
            every.tick().await;
            app.ledgers.close_idle().await;
        }
    };
    tokio::join!(app.accounts.run(), ledgers, renew(app));
}

/// Takes up certificates when their files change.
async fn renew(app: &App) {
    let Some(certificates) = &app.options.certificates else {
        return;
    };
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        let certificates = certificates.clone();
        match tokio::task::spawn_blocking(move || certificates.look()).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => tracing::info!("a renewed certificate is shown from now on"),
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a changed certificate is not taken up");
            }
            Err(error) => tracing::error!(%error, "looking for a renewed certificate"),
        }
    }
}

async fn accept(
    listener: &TcpListener,
    front: &Arc<Front>,
    connections: &mut JoinSet<()>,
    stopping: &watch::Receiver<bool>,
    app: &Arc<App>,
) {
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= app.options.connections_max {
            connections.join_next().await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                let (front, stopping, app) = (front.clone(), stopping.clone(), app.clone());
                connections.spawn(async move {
                    app.figures.connections.fetch_add(1, Relaxed);
                    secured(stream, &app, front, stopping).await;
                    app.figures.connections.fetch_sub(1, Relaxed);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

/// Serves a connection, under TLS where the server has a certificate.
async fn secured(stream: TcpStream, app: &App, front: Arc<Front>, stopping: watch::Receiver<bool>) {
    let Ok(peer) = stream.peer_addr() else { return };
    // Answers are small and whole: waiting for more of them to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    match &app.options.certificates {
        None => connection(stream, peer.ip(), None, front, stopping).await,
        Some(certificates) => {
            // Whoever is asked to agree while the server stops comes too late for an answer.
            let mut stopped = stopping.clone();
            let agreed = tokio::select! {
                agreed = certificates.accept(stream) => agreed,
                () = told_to_stop(&mut stopped) => None,
            };
            if let Some(stream) = agreed {
                connection(stream, peer.ip(), Some(HTTPS), front, stopping).await;
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: IpAddr,
    scheme: Option<HeaderValue>,
    front: Arc<Front>,
    mut stopping: watch::Receiver<bool>,
) {
    let is_asked = Arc::new(AtomicBool::new(false));
    let asked = is_asked.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let front = front.clone();
        asked.store(true, Relaxed);
        if let Some(scheme) = &scheme {
            // As a proxy in front would say it: cookies and origins go by it.
            request.headers_mut().insert(X_FORWARDED_PROTO, scheme.clone());
        }
        async move {
            let request = request.map(|body| Arriving::new(body, front.app().clone()));
            Ok::<_, std::convert::Infallible>(front.answer(request, peer).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_SILENCE_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = told_to_stop(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            // That ends a connection on which nothing is under way; but of the first request a part of the head may be here.
            match tokio::time::timeout(REST_MAX, connection.as_mut()).await {
                Ok(ended) => ended,
                Err(_) if !is_asked.load(Relaxed) => return,
                Err(_) => connection.await,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    // An error says that the server is gone, which is as good.
    drop(stopping.wait_for(|stopping| *stopping).await);
}
