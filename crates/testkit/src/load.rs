//! An HTTP/1.1 load driver that costs as little as it can, because it shares the machine with the server
//! that it measures: one thread, keep-alive sockets, requests written from prebuilt heads, answers read by
//! a small strict parser. It follows no redirects and speaks no TLS.
//!
//! Two ways to drive. *Closed loop*: every connection sends its next request when the last is answered;
//! finds the greatest throughput. *Open loop*: requests are due at a fixed rate, and latency counts from the
//! instant at which a request was due, so that a server that stalls cannot hide it by slowing the driver.

mod answer;
mod connection;
mod drive;
mod outcome;

pub use outcome::{Outcome, latency_histogram};

use std::net::SocketAddr;
use std::time::Duration;

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Every connection sends as soon as its last request is answered.
    ClosedLoop,
    /// So many requests a second over all connections, whether or not earlier ones are answered. What
    /// finds no free connection waits, and its waiting counts.
    OpenLoop {
        /// Requests a second.
        per_second: f64,
    },
}

/// When no further request is sent. What is in flight by then is still waited for.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so many requests over all connections.
    Requests(u64),
    /// After so much time.
    Elapsed(Duration),
}

/// What to send, where, how fast, and for how long.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// The method of every request.
    pub method: &'static str,
    /// The request target (path and query), unless a `Draft` sets its own.
    pub target: String,
    /// Header fields of every request, name and value. `host` and `content-length` are added.
    pub headers: Vec<(String, String)>,
    /// Connections kept open.
    pub connections: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// When to stop.
    pub until: Until,
    /// The processes whose CPU time (with their children's) is the server's cost; may be empty.
    pub server_pids: Vec<u32>,
}

/// One request to be filled in. The buffers are empty and keep their room from request to request.
#[derive(Debug, Default)]
pub struct Draft {
    /// The request target; empty takes the load's own.
    pub target: Vec<u8>,
    /// Further header fields as they go over the wire, each ended by CR LF.
    pub headers: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

/// What became of one request.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The connection that sent it, from 0.
    pub connection: usize,
    /// The request's number over all connections, from 0.
    pub request: u64,
    /// The status; `None` when the connection was lost first, so that the outcome is unknown.
    pub status: Option<u16>,
    /// The body, unchunked; empty when the connection was lost.
    pub body: &'a [u8],
}

/// Why a load could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The server did not take the first connections.
    #[error("cannot connect to {address} (connection {connection})")]
    Connect {
        /// The server.
        address: SocketAddr,
        /// Which connection.
        connection: usize,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The system refused what driving needs.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server's answer is not HTTP/1.1.
    #[error("request {request} was answered by what is not HTTP/1.1: {what}")]
    Malformed {
        /// The request's number.
        request: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The load is no load.
    #[error("the load cannot be driven: {what}")]
    Invalid {
        /// What is wrong.
        what: &'static str,
    },
}

impl Load {
    /// A closed loop of POSTs of JSON; change the public fields for anything else.
    #[must_use]
    pub fn post(address: SocketAddr, target: &str, connections: usize, until: Until) -> Load {
        Load {
            address,
            method: "POST",
            target: target.to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            connections,
            pace: Pace::ClosedLoop,
            until,
            server_pids: Vec::new(),
        }
    }

    /// A closed loop of GETs.
    #[must_use]
    pub fn read(address: SocketAddr, target: &str, connections: usize, until: Until) -> Load {
        Load {
            method: "GET",
            headers: Vec::new(),
            ..Load::post(address, target, connections, until)
        }
    }

    /// Adds a header field to every request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Load {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Drives the load on the calling thread. `fill` writes request `n` for a connection.
    ///
    /// # Errors
    /// When the server does not take connections at first, or does not speak HTTP. Connections lost later
    /// are counted in the outcome and made anew; when none can be, the drive ends early.
    pub fn drive(&self, fill: impl FnMut(usize, u64, &mut Draft)) -> Result<Outcome, LoadError> {
        self.drive_and_watch(fill, |_| ())
    }

    /// As `drive`, and hands over every answer.
    ///
    /// # Errors
    /// As `drive`.
    pub fn drive_and_watch(
        &self,
        fill: impl FnMut(usize, u64, &mut Draft),
        answered: impl FnMut(Answer<'_>),
    ) -> Result<Outcome, LoadError> {
        if self.connections == 0 {
            return Err(LoadError::Invalid {
                what: "it has no connections",
            });
        }
        if let Pace::OpenLoop { per_second } = self.pace
            && !(per_second.is_finite() && per_second > 0.0)
        {
            return Err(LoadError::Invalid {
                what: "its rate is not above zero",
            });
        }
        drive::Drive::begin(self, fill, answered)?.run()
    }
}
