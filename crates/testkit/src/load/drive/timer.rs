//! Wakes the driver at the instant at which the next request is due. On Linux the poll itself waits in whole
//! milliseconds, which would add up to one of them to every latency: a timer in the kernel does better.

use mio::{Registry, Token};
use std::io;
use std::time::Duration;

/// The longest that a poll waits while a timer is set.
const POLL_MAX: Duration = Duration::from_secs(1);

#[cfg(target_os = "linux")]
pub(super) struct Timer {
    fd: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl Timer {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Timer> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        use std::os::fd::AsRawFd as _;
        let fd = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        registry.register(
            &mut mio::unix::SourceFd(&fd.as_raw_fd()),
            token,
            mio::Interest::READABLE,
        )?;
        Ok(Timer { fd })
    }

    /// Arranges to be woken after a time and answers how long the poll itself may wait.
    pub(super) fn wait(&mut self, time: Duration) -> io::Result<Duration> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        if time.is_zero() {
            return Ok(Duration::ZERO);
        }
        let time = time.min(POLL_MAX);
        let value = Timespec::try_from(time).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let never = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let once = Itimerspec {
            it_interval: never,
            it_value: value,
        };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once)?;
        Ok(POLL_MAX)
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Timer> {
        Ok(Timer)
    }

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "elsewhere it can fail and needs itself"
    )]
    pub(super) fn wait(&mut self, time: Duration) -> io::Result<Duration> {
        Ok(time.min(POLL_MAX))
    }
}
