//! What a running process has cost so far, read from `/proc`. Elsewhere than on Linux nothing is known and
//! every answer is `None`.

use std::collections::HashSet;
use std::time::Duration;

/// CPU time spent so far by some processes, their living descendants and those that they have waited for, each
/// counted once. (PostgreSQL is a family of processes: counting only the first would flatter it.) `None` when
/// one of them is not there.
#[must_use]
pub fn cpu(pids: &[u32]) -> Option<Duration> {
    let table = Stat::all()?;
    let mut counted = HashSet::new();
    let mut ticks = 0;
    let mut to_count = pids.to_vec();
    while let Some(pid) = to_count.pop() {
        if !counted.insert(pid) {
            continue;
        }
        ticks += table.iter().find(|stat| stat.pid == pid)?.ticks;
        to_count.extend(
            table
                .iter()
                .filter(|stat| stat.parent == pid)
                .map(|stat| stat.pid),
        );
    }
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_nanos(
        ticks.saturating_mul(1_000_000_000 / per_second.max(1)),
    ))
}

/// Memory resident now, in bytes.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The most memory that was ever resident, in bytes.
#[must_use]
pub fn resident_bytes_max(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmHWM:")
}

/// Lets this process's most memory be counted anew from now on; `false` where the system does not do that.
#[must_use]
pub fn forget_resident_max() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// CPU time spent so far by the calling thread.
#[must_use]
pub fn thread_cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

fn status_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kibibytes: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The few fields of `/proc/<pid>/stat` that cost needs.
struct Stat {
    pid: u32,
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn all() -> Option<Vec<Stat>> {
        let entries = std::fs::read_dir("/proc").ok()?;
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        Some(pids.filter_map(Stat::of).collect())
    }

    fn of(pid: u32) -> Option<Stat> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Stat::parse(pid, &text)
    }

    fn parse(pid: u32, text: &str) -> Option<Stat> {
        // A command's name may hold spaces and brackets: the fixed fields start behind the last bracket.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let parent = fields.get(1)?.parse().ok()?;
        // utime, stime, and the same two of children that were waited for.
        let ticks = fields
            .get(11..15)?
            .iter()
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Some(Stat { pid, parent, ticks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let text = "7 (a) b (c)) S 3 7 7 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7";
        let stat = Stat::parse(7, text).unwrap();
        assert_eq!((stat.pid, stat.parent, stat.ticks), (7, 3, 100));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_cost_of_this_process_grows_with_its_work() {
        let own = std::process::id();
        let before = cpu(&[own]).unwrap();
        let mut sum = 0u64;
        while thread_cpu() < Duration::from_millis(50) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
        }
        let after = cpu(&[own]).unwrap();
        assert!(after > before);
        assert!(resident_bytes(own).unwrap() > 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_named_twice_is_counted_once() {
        let own = std::process::id();
        while thread_cpu() < Duration::from_millis(200) {
            std::hint::black_box(own);
        }
        let (once, twice) = (cpu(&[own]).unwrap(), cpu(&[own, own]).unwrap());
        assert!(twice < once * 2, "{once:?} and {twice:?}");
    }

    #[test]
    fn a_process_that_is_not_there_has_no_cost() {
        assert_eq!(cpu(&[u32::MAX]), None);
    }
}
