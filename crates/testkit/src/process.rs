//! What a running process has cost so far, read from `/proc`. Elsewhere than on Linux nothing is known and
//! every answer is `None`.

use std::time::Duration;

/// CPU time spent so far by a process, its living descendants and those that they have waited for.
/// (PostgreSQL is a family of processes: counting only the first would flatter it.)
#[must_use]
pub fn cpu(pid: u32) -> Option<Duration> {
    let table = Stat::all()?;
    table.iter().find(|stat| stat.pid == pid)?;
    let mut family = vec![pid];
    let mut ticks = 0;
    while let Some(member) = family.pop() {
        ticks += table
            .iter()
            .find(|stat| stat.pid == member)
            .map_or(0, |stat| stat.ticks);
        family.extend(
            table
                .iter()
                .filter(|stat| stat.parent == member)
                .map(|stat| stat.pid),
        );
    }
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_nanos(
        ticks.saturating_mul(1_000_000_000 / per_second.max(1)),
    ))
}

/// The sum of `cpu` over several processes; `None` when one of them is unknown.
#[must_use]
pub fn cpu_of_all(pids: &[u32]) -> Option<Duration> {
    pids.iter().map(|pid| cpu(*pid)).sum()
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
        let before = cpu(std::process::id()).unwrap();
        let mut sum = 0u64;
        while thread_cpu() < Duration::from_millis(50) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
        }
        assert!(cpu(std::process::id()).unwrap() > before);
        assert!(resident_bytes(std::process::id()).unwrap() > 0);
    }

    #[test]
    fn a_process_that_is_not_there_has_no_cost() {
        assert_eq!(cpu(u32::MAX), None);
        assert_eq!(cpu_of_all(&[u32::MAX]), None);
    }
}
