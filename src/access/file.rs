//! The file, pipe or device to which lines go.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Files that we create: the owner writes, the group reads.
const MODE: Mode = Mode::from_raw_mode(0o640);

/// How long a pipe that is full is waited for before the flags are looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a pipe that is full is still waited for once the end has come.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `None`: standard output.
    pub path: Option<PathBuf>,
    /// Bytes after which a file is put away; 0: never.
    pub max_size: u64,
    /// How many that were put away are kept.
    pub keep: u32,
}

/// What the writer is asked to heed.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// Open the path anew.
    pub(super) reopen: AtomicBool,
    /// The end has come: wait for nobody.
    pub(super) closing: AtomicBool,
}

impl Settings {
    /// The path for messages.
    pub(super) fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| "standard output".into(), |path| path.display().to_string())
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct File {
    settings: Settings,
    flags: Arc<Flags>,
    open: Open,
}

#[derive(Debug)]
struct Open {
    handle: fs::File,
    /// Neither pipe nor device: it can be put away, and cut.
    regular: bool,
    size: u64,
    /// What was written since it was put away last, or since that failed.
    filled: u64,
    /// The half of a line stands at its end.
    torn: bool,
}

impl File {
    pub(super) fn open(settings: Settings, flags: Arc<Flags>) -> io::Result<Self> {
        let open = open(settings.path.as_deref())?;
        Ok(Self { settings, flags, open })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Opens the path anew where that was asked for. A path that cannot be opened leaves the old file in use.
    pub(super) fn follow_flags(&mut self) {
        if !self.flags.reopen.swap(false, Ordering::AcqRel) {
            return;
        }
        let path = self.settings.name();
        match open(self.settings.path.as_deref()) {
            Ok(open) => {
                self.open = open;
                tracing::info!(target: "equipoise::access", path, "access log reopened");
            }
            Err(error) => {
                tracing::error!(target: "equipoise::access", path, %error, "access log cannot be reopened; the old file stays in use");
            }
        }
    }

    /// Writes whole lines. The error comes with the number of lines that have gone.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), (u64, io::Error)> {
        let max = self.settings.max_size;
        if max > 0 && self.open.regular && self.open.filled > 0 && self.open.filled + bytes.len() as u64 > max
        {
            self.put_away();
        }
        if self.open.torn && self.write_all(b"\n").is_ok() {
            self.open.torn = false;
            self.open.size += 1;
        }
        let (written, error) = match self.write_all(bytes) {
            Ok(()) => (bytes.len(), None),
            Err((written, error)) => (written, Some(error)),
        };
        self.open.size += written as u64;
        self.open.filled += written as u64;
        let Some(error) = error else { return Ok(()) };
        let whole = memchr::memrchr(b'\n', &bytes[..written]).map_or(0, |at| at + 1);
        self.mend((written - whole) as u64);
        Err((memchr::memchr_iter(b'\n', &bytes[..whole]).count() as u64, error))
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        let mut since = None;
        while written < bytes.len() {
            match rustix::io::write(&self.open.handle, &bytes[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(n) => (written, since) = (written + n, None),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let since = *since.get_or_insert_with(Instant::now);
                    if self.flags.closing.load(Ordering::Acquire) && since.elapsed() > LAST_WAIT {
                        return Err((written, io::ErrorKind::TimedOut.into()));
                    }
                    if self.flags.reopen.load(Ordering::Acquire) {
                        return Err((written, io::Error::other("nobody read it before it was reopened")));
                    }
                    self.wait();
                }
                Err(error) => return Err((written, error.into())),
            }
        }
        Ok(())
    }

    fn wait(&self) {
        let most = Timespec { tv_sec: 0, tv_nsec: LOOK_EVERY.subsec_nanos().into() };
        // Whatever it says, the next write tells.
        let _ = poll(&mut [PollFd::new(&self.open.handle, PollFlags::OUT)], Some(&most));
    }

    /// Takes the half of a line off the end of the file, where the end is still ours.
    fn mend(&mut self, torn: u64) {
        let open = &mut self.open;
        if torn == 0 {
            return;
        }
        let ours = open.regular && open.handle.metadata().is_ok_and(|meta| meta.len() == open.size);
        if ours && open.handle.set_len(open.size - torn).is_ok() {
            open.size -= torn;
            open.filled = open.filled.saturating_sub(torn);
        } else {
            open.torn = true;
        }
    }

    /// Gives the file the number 1, those before it one more each, and begins a new one. What cannot be done is said,
    /// and tried again when as much has been written once more.
    fn put_away(&mut self) {
        let Some(path) = self.settings.path.clone() else { return };
        let away = shift(&path, self.settings.keep).and_then(|()| open(Some(&path)));
        match away {
            Ok(open) => self.open = open,
            Err(error) => {
                let path = self.settings.name();
                tracing::error!(target: "equipoise::access", path, %error, "access log cannot be put away; it goes on growing");
            }
        }
        self.open.filled = 0;
    }
}

/// `path` → `path.1` → … → `path.keep`, which is overwritten.
fn shift(path: &Path, keep: u32) -> io::Result<()> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..keep).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    match fs::rename(path, numbered(1)) {
        // Somebody else took it away: what is written now is seen by nobody, until a new one is begun.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

fn open(path: Option<&Path>) -> io::Result<Open> {
    let handle = match path {
        None => fs::File::from(io::stdout().as_fd().try_clone_to_owned()?),
        Some(path) => {
            use std::os::unix::fs::FileTypeExt;
            let pipe = fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo());
            let way = match pipe {
                // Whoever opens a pipe for writing alone waits for a reader, and fails when that one leaves.
                true => OFlags::RDWR | OFlags::NONBLOCK,
                false => OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOCTTY,
            };
            rustix::fs::open(path, way | OFlags::CLOEXEC, MODE)?.into()
        }
    };
    let meta = handle.metadata()?;
    let regular = path.is_some() && meta.is_file();
    let size = if regular { meta.len() } else { 0 };
    Ok(Open { handle, regular, size, filled: size, torn: false })
}
