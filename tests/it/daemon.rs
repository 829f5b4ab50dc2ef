//! The daemon as a child process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::client;
use crate::config::Config;
use crate::message::Message;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_equipoise");

/// How long the daemon may take for what it is told.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: Arc<Log>,
    file: PathBuf,
    /// The address of its first listener.
    pub(crate) web: SocketAddr,
    /// The address of its admin endpoint.
    pub(crate) admin: SocketAddr,
    _dir: tempfile::TempDir,
    _turn: Turn,
}

/// The right to use the machine: shared by most tests, whole for those that flood it or measure it. A file
/// lock, for the tests may be threads of one process or processes of their own.
#[derive(Debug)]
pub(crate) struct Turn {
    _lock: File,
}

impl Turn {
    fn take(whole: bool) -> Self {
        let lock = File::create(concat!(env!("CARGO_TARGET_TMPDIR"), "/turn")).unwrap();
        if whole { lock.lock() } else { lock.lock_shared() }.unwrap();
        Self { _lock: lock }
    }
}

#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
    /// Its pipe is not read.
    stuck: Mutex<bool>,
    freed: Condvar,
}

impl Daemon {
    /// Starts it and waits until it accepts connections.
    pub(crate) fn start(config: &Config) -> Self {
        Self::start_with(config, Turn::take(false))
    }

    /// The same, with the machine for this test alone.
    pub(crate) fn start_alone(config: &Config) -> Self {
        Self::start_with(config, Turn::take(true))
    }

    /// The same as [`Self::start`], with so many descriptors.
    pub(crate) fn start_limited(config: &Config, files: u32) -> Self {
        let mut shell = Command::new("sh");
        shell.stdout(Stdio::null());
        shell.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\""), BINARY]);
        Self::run(shell, config, Turn::take(false))
    }

    /// The same, with files of at most so many blocks of 512 bytes.
    pub(crate) fn start_with_file_size(config: &Config, blocks: u32) -> Self {
        let mut shell = Command::new("sh");
        shell.stdout(Stdio::null());
        shell.args(["-c", &format!("ulimit -f {blocks} && exec \"$0\" \"$@\""), BINARY]);
        Self::run(shell, config, Turn::take(false))
    }

    /// The same, with its standard output.
    pub(crate) fn start_with_output(config: &Config) -> (Self, ChildStdout) {
        let mut command = Command::new(BINARY);
        command.stdout(Stdio::piped());
        let mut daemon = Self::run(command, config, Turn::take(false));
        let output = daemon.child.stdout.take().unwrap();
        (daemon, output)
    }

    fn start_with(config: &Config, turn: Turn) -> Self {
        let mut command = Command::new(BINARY);
        command.stdout(Stdio::null());
        Self::run(command, config, turn)
    }

    fn run(mut command: Command, config: &Config, turn: Turn) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let file = dir.path().join("equipoise.toml");
        std::fs::write(&file, config.text()).unwrap();
        let mut child = command
            .args(["run", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::follow(child.stderr.take().unwrap());
        let unset = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut daemon = Self { child, log, file, web: unset, admin: unset, _dir: dir, _turn: turn };
        let ready = daemon.logged("ready");
        daemon.admin = ready["admin"].as_str().unwrap().parse().unwrap();
        daemon.web = daemon.listener("web");
        daemon
    }

    /// The first logged event of this message; waits for it.
    pub(crate) fn logged(&self, message: &str) -> Value {
        self.logged_where(message, |event| event["message"].as_str().is_some_and(|m| m.starts_with(message)))
    }

    /// The first logged event that fits; waits for it.
    pub(crate) fn logged_where(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            let event =
                lines.iter().filter_map(|line| serde_json::from_str(line).ok()).find(|event| fits(event));
            if let Some(event) = event {
                return event;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not logged: {what}\n{}", lines.join("\n"));
            lines = self.log.grown.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// How many events of this message have been logged so far.
    pub(crate) fn times_logged(&self, message: &str) -> usize {
        self.log.lines.lock().unwrap().iter().filter(|line| line.contains(message)).count()
    }

    /// Stops to read its standard error, or goes on.
    pub(crate) fn stick(&self, stuck: bool) {
        *self.log.stuck.lock().unwrap() = stuck;
        self.log.freed.notify_all();
    }

    /// The address that a listener opened last.
    pub(crate) fn listener(&self, name: &str) -> SocketAddr {
        self.logged_where(name, |e| e["message"] == "listener opens" && e["listener"] == name);
        let lines = self.log.lines.lock().unwrap();
        let events = lines.iter().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut opened = events.filter(|e| e["message"] == "listener opens" && e["listener"] == name);
        opened.next().unwrap()["address"].as_str().unwrap().parse().unwrap()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        until("the daemon has ended", || self.child.try_wait().unwrap())
    }

    /// Puts another text into its configuration file.
    pub(crate) fn write(&self, text: &str) {
        std::fs::write(&self.file, text).unwrap();
    }

    /// Puts another configuration into force and waits until it is.
    pub(crate) fn reload(&self, config: &Config) {
        self.write(&config.text());
        let answer = self.ask_to_reload();
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }

    /// POST /-/reload.
    pub(crate) fn ask_to_reload(&self) -> Message {
        let request =
            "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nX-Equipoise: 1\r\nContent-Length: 0\r\n\r\n";
        client::once(self.admin, request).unwrap()
    }

    /// Orders something of a backend of the pool «crm»; gives how it is then.
    pub(crate) fn order(&self, name: &str, order: &str) -> Value {
        let answer = self.put(&format!("/api/v1/pools/crm/backends/{name}"), order);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        serde_json::from_str(&answer.text()).unwrap()
    }

    /// PUT to the admin endpoint.
    pub(crate) fn put(&self, path: &str, body: &str) -> Message {
        let fields = format!("Host: localhost\r\nX-Equipoise: 1\r\nContent-Length: {}", body.len());
        client::once(self.admin, &format!("PUT {path} HTTP/1.1\r\n{fields}\r\n\r\n{body}")).unwrap()
    }

    /// A page of the admin endpoint.
    pub(crate) fn page(&self, path: &str) -> Message {
        client::once(self.admin, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).unwrap()
    }

    /// A backend of the pool «crm», by its name, as the API shows it.
    pub(crate) fn backend(&self, name: &str) -> Value {
        let page: Value = serde_json::from_str(&self.page("/api/v1/pools/crm").text()).unwrap();
        let backends = page["backends"].as_array().unwrap();
        backends.iter().find(|backend| backend["name"] == name).unwrap_or_else(|| panic!("{page:#}")).clone()
    }

    /// The sum of all series of a metric whose labels contain these.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        sum(&self.page("/metrics").text(), name, labels)
    }

    /// Processor time that it has used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which may hold anything, user and system time are the 12th and 13th.
        let ticks: u64 = stat
            .rsplit(") ")
            .next()
            .unwrap()
            .split(' ')
            .skip(11)
            .take(2)
            .map(|t| t.parse::<u64>().unwrap())
            .sum();
        ticks as f64 / 100.0 // USER_HZ, the same on every machine that Linux runs on today
    }

    /// How nice those of its threads are that have this name (proc_pid_stat(5), field 19).
    pub(crate) fn threads(&self, name: &str) -> Vec<i32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
        let nice = |stat: String| {
            let (before, after) = stat.split_once(&format!("({name}) "))?;
            let is_whole = before.bytes().all(|byte| byte.is_ascii_digit() || byte == b' ');
            after.split(' ').nth(16).filter(|_| is_whole)?.parse().ok()
        };
        stats.filter_map(nice).collect()
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that was ever resident, in bytes.
    pub(crate) fn peak_resident(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let lines = self.log.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            eprintln!("--- the daemon's last words\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

impl Log {
    fn follow(stderr: std::process::ChildStderr) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                written.lines.lock().unwrap().push(line);
                written.grown.notify_all();
                drop(written.freed.wait_while(written.stuck.lock().unwrap(), |stuck| *stuck).unwrap());
            }
        });
        log
    }
}

/// The sum of all series of a metric in Prometheus text whose labels contain these.
pub(crate) fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    text.lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
        .filter(|line| labels.iter().all(|(label, value)| line.contains(&format!("{label}=\"{value}\""))))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// Asks again and again until there is an answer; fails after a while.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        pause(Duration::from_millis(5));
    }
}

/// Lets time pass: between two looks, or where the passing of time is itself what is tested.
#[allow(clippy::disallowed_methods, reason = "a test's thread is nobody's worker")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
