//! A way between a program and its PostgreSQL that breaks or falls silent where a test says: at a statement.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// So many bytes of what was sent before are looked at again: a statement may come in two pieces.
const LOOKED_AT_AGAIN: usize = 256;

/// What becomes of a connection at a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It does not arrive. This connection and all others break, and so does every new one, until [`Wire::mend`].
    Away,
    /// It does not arrive, and nothing more does on this connection, which stays open.
    Silent,
    /// It arrives, and so does the commit that follows; but instead of its answer comes what [`Fate::Away`] says.
    CommitUnanswered,
}

/// A way to a PostgreSQL, through this process. Its connections break when it is dropped.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    sprung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_away: bool,
    is_over: bool,
    trap: Option<(String, Fate)>,
    /// Both ends of each connection, by number.
    open: HashMap<u64, [TcpStream; 2]>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn break_all(&self, is_away: bool) {
        let mut state = self.state();
        state.is_away = is_away;
        for (_, ends) in state.open.drain() {
            // An end that is closed already is as good.
            ends.iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
        }
    }

    /// The fate of what is sent, when it springs the trap.
    fn meet(&self, sent: &[u8]) -> Option<Fate> {
        let mut state = self.state();
        let is_met = state.trap.as_ref().is_some_and(|(text, _)| has(sent, text));
        let (_, fate) = state.trap.take_if(|_| is_met)?;
        self.sprung.notify_all();
        Some(fate)
    }
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

impl Wire {
    /// A way to the server at the address of a URL such as `postgres://user:password@127.0.0.1:5432/database`, which must be
    /// of this machine.
    ///
    /// # Errors
    /// When the URL has no port, or there is no port for this.
    pub fn to(url: &str) -> io::Result<(Wire, String)> {
        let host = url.rsplit_once('@').map_or(url, |(_, host)| host);
        let host = host.split('/').next().unwrap_or(host);
        let to: SocketAddr = host.parse().map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let wire = Wire {
            address: listener.local_addr()?,
            inner: Arc::default(),
        };
        let through = url.replace(host, &wire.address.to_string());
        let inner = wire.inner.clone();
        std::thread::spawn(move || accept(&listener, to, &inner));
        Ok((wire, through))
    }

    /// The next statement that has this text meets its fate, once. A statement that a connection has prepared before is sent
    /// by a number: connections that are open now break, so that it has to be prepared anew.
    pub fn set_trap(&self, text: &str, fate: Fate) {
        self.inner.state().trap = Some((text.to_owned(), fate));
        self.inner.break_all(false);
    }

    /// Waits until a statement has met its fate.
    pub fn wait_until_sprung(&self) {
        let state = self.inner.state();
        let sprung = self.inner.sprung.wait_while(state, |state| state.trap.is_some());
        drop(sprung.unwrap_or_else(PoisonError::into_inner));
    }

    /// Breaks every connection, and every new one, until [`Wire::mend`].
    pub fn cut(&self) {
        self.inner.break_all(true);
    }

    /// New connections hold from now on.
    pub fn mend(&self) {
        self.inner.state().is_away = false;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.inner.state().is_over = true;
        self.inner.break_all(true);
        // Wakes up whoever accepts.
        drop(TcpStream::connect(self.address));
    }
}

fn accept(listener: &TcpListener, to: SocketAddr, inner: &Arc<Inner>) {
    for number in 0.. {
        let Ok((near, _)) = listener.accept() else { return };
        {
            let state = inner.state();
            if state.is_over {
                return;
            }
            if state.is_away {
                continue;
            }
        }
        let Ok(far) = TcpStream::connect(to) else { continue };
        // A connection that breaks here is one that breaks.
        drop(carry(number, near, far, inner));
    }
}

fn carry(number: u64, near: TcpStream, far: TcpStream, inner: &Arc<Inner>) -> io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ends = [near.try_clone()?, far.try_clone()?];
    {
        let mut state = inner.state();
        if state.is_away {
            return Ok(());
        }
        state.open.insert(number, ends);
    }
    let is_silent = Arc::new(AtomicBool::new(false));
    let is_unanswered = Arc::new(AtomicBool::new(false));
    let there = Way {
        from: near.try_clone()?,
        into: far.try_clone()?,
        number,
        is_silent: is_silent.clone(),
        is_unanswered: is_unanswered.clone(),
        inner: inner.clone(),
    };
    let back = Way {
        from: far,
        into: near,
        number,
        is_silent,
        is_unanswered,
        inner: inner.clone(),
    };
    std::thread::spawn(move || there.carry_statements());
    std::thread::spawn(move || back.carry_answers());
    Ok(())
}

/// One direction of a connection. What keeps a silent connection open is the clone of its ends in the state.
struct Way {
    from: TcpStream,
    into: TcpStream,
    number: u64,
    is_silent: Arc<AtomicBool>,
    is_unanswered: Arc<AtomicBool>,
    inner: Arc<Inner>,
}

impl Way {
    fn carry_statements(mut self) {
        let (mut sent, mut is_armed) = (Vec::new(), false);
        let mut bytes = vec![0; 64 << 10];
        while let Some(count) = self.read(&mut bytes) {
            let keep = sent.len().min(LOOKED_AT_AGAIN);
            sent.drain(..sent.len() - keep);
            sent.extend_from_slice(&bytes[..count]);
            match self.inner.meet(&sent) {
                Some(Fate::Away) => return self.inner.break_all(true),
                Some(Fate::Silent) => return self.is_silent.store(true, Ordering::SeqCst),
                Some(Fate::CommitUnanswered) => {
                    is_armed = true;
                    sent.clear();
                }
                None => {}
            }
            if is_armed && has(&sent, "COMMIT") {
                self.is_unanswered.store(true, Ordering::SeqCst);
            }
            if self.into.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        self.end();
    }

    fn carry_answers(mut self) {
        let mut bytes = vec![0; 64 << 10];
        while let Some(count) = self.read(&mut bytes) {
            if self.is_silent.load(Ordering::SeqCst) {
                return;
            }
            if self.is_unanswered.load(Ordering::SeqCst) {
                return self.inner.break_all(true);
            }
            if self.into.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        if !self.is_silent.load(Ordering::SeqCst) {
            self.end();
        }
    }

    /// The next bytes; `None` at the end.
    fn read(&mut self, bytes: &mut [u8]) -> Option<usize> {
        self.from.read(bytes).ok().filter(|count| *count > 0)
    }

    fn end(&self) {
        let ends = self.inner.state().open.remove(&self.number);
        for end in ends.iter().flatten() {
            // Both directions end together; one that is closed already is as good.
            drop(end.shutdown(Shutdown::Both));
        }
    }
}
