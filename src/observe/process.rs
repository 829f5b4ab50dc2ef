//! What the kernel says of this process (proc(5)).

use std::fs;

use rustix::process::{Resource, getrlimit};

/// The figures; each is absent where it could not be read, for instance without /proc.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<f64>,
    pub(super) open_fds: Option<f64>,
    pub(super) max_fds: Option<f64>,
    pub(super) start_seconds: Option<f64>,
}

impl Process {
    pub(super) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields = stat_fields(&stat);
        // The listing's own descriptor is among them, hence one less.
        let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1));
        Self {
            cpu_seconds: sum_ticks(&fields),
            resident_bytes: fs::read_to_string("/proc/self/status").ok().and_then(|text| resident(&text)),
            open_fds: open.map(|count| count as f64),
            max_fds: getrlimit(Resource::Nofile).current.map(|limit| limit as f64),
            start_seconds: start_seconds(&fields),
        }
    }
}

/// What proc(5) calls clock ticks: 100 a second on every architecture Linux user space still runs on but
/// Alpha (`USER_HZ` is part of the ABI).
const TICKS_PER_SECOND: f64 = 100.0;

/// Places in the part of `stat` after the command name, which may hold spaces and parentheses itself.
const UTIME: usize = 11;
const STIME: usize = 12;
const START_TIME: usize = 19;

fn stat_fields(stat: &str) -> Vec<&str> {
    stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| rest.split_ascii_whitespace().collect())
}

fn ticks(fields: &[&str], at: usize) -> Option<f64> {
    Some(fields.get(at)?.parse::<u64>().ok()? as f64 / TICKS_PER_SECOND)
}

fn sum_ticks(fields: &[&str]) -> Option<f64> {
    Some(ticks(fields, UTIME)? + ticks(fields, STIME)?)
}

fn start_seconds(fields: &[&str]) -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<u64>().ok()?;
    Some(boot as f64 + ticks(fields, START_TIME)?)
}

fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    Some(kibibytes as f64 * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_and_spaces_shifts_nothing() {
        let stat = "7 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 0 0 1 0 4200 9 9";
        let fields = stat_fields(stat);
        assert_eq!(sum_ticks(&fields), Some(2.0));
        assert_eq!(ticks(&fields, START_TIME), Some(42.0));
    }

    #[test]
    fn resident_memory_is_given_in_kibibytes() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t     12 kB\n"), Some(12_288.0));
        assert_eq!(resident("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_has_every_figure() {
        let read = Process::read();
        assert!(read.cpu_seconds.is_some() && read.start_seconds.is_some());
        assert!(read.resident_bytes.unwrap() > 0.0);
        assert!(read.open_fds.unwrap() >= 3.0);
    }
}
