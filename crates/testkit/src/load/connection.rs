//! One keep-alive connection of the driver's: a request on its way out, its answer on its way in.

use super::answer::{AnswerReader, Malformed};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// The request as it goes over the wire, and how much of it has gone.
    pub(super) out: Vec<u8>,
    written: usize,
    pub(super) reader: AnswerReader,
    pub(super) in_flight: Option<InFlight>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) request: u64,
    /// When the request was to be sent; latency counts from here.
    pub(super) due: Instant,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More must come.
    Waiting,
    /// The answer is whole.
    Answered,
    /// The connection is gone.
    Lost,
}

impl Connection {
    pub(super) fn open(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Connection> {
        let stream = std::net::TcpStream::connect_timeout(&address, CONNECT_WITHIN)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Connection {
            stream,
            out: Vec::new(),
            written: 0,
            reader: AnswerReader::new(),
            in_flight: None,
        })
    }

    /// Starts to send what lies in `out`.
    pub(super) fn send(&mut self, request: u64, due: Instant) -> Progress {
        self.written = 0;
        self.reader.reset();
        self.in_flight = Some(InFlight { request, due });
        self.write_on()
    }

    pub(super) fn is_sending(&self) -> bool {
        self.in_flight.is_some() && self.written < self.out.len()
    }

    /// Whether another request can go over this connection, now that one is answered.
    pub(super) fn can_go_on(&self) -> bool {
        !self.reader.closes && self.written == self.out.len()
    }

    pub(super) fn write_on(&mut self) -> Progress {
        while let Some(left) = self.out.get(self.written..)
            && !left.is_empty()
        {
            match self.stream.write(left) {
                Ok(0) => return Progress::Lost,
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waiting,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The server may have answered before it closed: reading will tell.
                Err(_) if self.in_flight.is_some() => return Progress::Waiting,
                Err(_) => return Progress::Lost,
            }
        }
        Progress::Waiting
    }

    /// Reads what has come. A short read means that nothing more is there, which spares a call that would
    /// only say so; the next arrival is a new event.
    pub(super) fn read_on(&mut self, scratch: &mut [u8]) -> Result<Progress, Malformed> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => {
                    let is_whole = self.in_flight.is_some() && self.reader.end();
                    return Ok(if is_whole {
                        Progress::Answered
                    } else {
                        Progress::Lost
                    });
                }
                Ok(count) => {
                    if self.in_flight.is_none() {
                        return Err(Malformed("an answer that nobody asked for"));
                    }
                    if self.reader.take(scratch.get(..count).unwrap_or_default())? {
                        return Ok(Progress::Answered);
                    }
                    if count < scratch.len() {
                        return Ok(Progress::Waiting);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Waiting),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(Progress::Lost),
            }
        }
    }
}
