//! The file in which the accounts are kept: who holds it, and how it is written so that it can be read whatever happens
//! meanwhile.
//!
//! Lines are appended and brought to the disk at once. Where the file has grown it is replaced: a new one is written,
//! brought to the disk, put in its place by a rename, and the directory brought to the disk, so that at each moment
//! either the old one or the new one is there whole. The lock (flock) is on the file itself; who takes it looks
//! whether the file still stands under its name, for it may just have been replaced.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::observe::{Foreign, Journal};

/// A larger file is nothing that this program wrote.
const SIZE_MAX: u64 = 256 << 20;
/// A file smaller than this is not worth to be written anew.
const GROWN: u64 = 1 << 20;
/// A file is written anew where it has grown to this multiple of what it began with.
const GROWTH: u64 = 4;
/// How often the file is opened anew where it is replaced while it is being taken.
const TAKES_MAX: usize = 10;
/// What is said there is no one's business but the owner's.
const MODE: u32 = 0o600;

/// Why the state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refuses.
    #[error("state file {path}: cannot be {what}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The kernel's word.
        error: io::Error,
    },
    /// Another process has it.
    #[error("state file {0}: another process holds it (is another instance running?)")]
    Held(PathBuf),
    /// It is something else, and stays as it is.
    #[error("state file {path}: {why}; it is left as it is")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        why: Foreign,
    },
    /// Somebody removed it, or put another in its place.
    #[error("state file {0}: another file has taken its place")]
    Replaced(PathBuf),
}

impl StateError {
    /// Whether nothing is wrong but that there is no room.
    pub(super) fn is_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Io { error, .. } if full.contains(&error.kind()))
    }
}

/// The file, held against other processes.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    file: File,
    /// Bytes that are known to be whole lines.
    len: u64,
    /// What it held when it was last written whole.
    base: u64,
}

impl StateFile {
    /// Takes the file, made where there is none, and reads what it says.
    pub(super) fn take(path: &Path) -> Result<(Self, Journal), StateError> {
        for _ in 0..TAKES_MAX {
            let file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(path);
            let mut file = file.map_err(io_error(path, "opened"))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(StateError::Held(path.to_owned())),
                Err(TryLockError::Error(error)) => return Err(io_error(path, "locked")(error)),
            }
            if !stands(&file, path).map_err(io_error(path, "found"))? {
                continue;
            }
            let text = read(&mut file).map_err(io_error(path, "read"))?;
            let foreign = |why| StateError::Foreign { path: path.to_owned(), why };
            let journal = Journal::read(&text).map_err(foreign)?;
            // Where a link leads there, it is not the link that is replaced.
            let path = std::fs::canonicalize(path).map_err(io_error(path, "found"))?;
            let len = text.len() as u64;
            let state = Self { path, file, len, base: len };
            return Ok((state, journal));
        }
        Err(StateError::Replaced(path.to_owned()))
    }

    /// Whether it is time to write it anew: to begin with it, it must be read whole.
    pub(super) fn has_grown(&self) -> bool {
        self.len > largest(self.base)
    }

    /// Puts lines behind those that are there, and brings them to the disk.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), StateError> {
        if !stands(&self.file, &self.path).map_err(io_error(&self.path, "found"))? {
            return Err(StateError::Replaced(self.path.clone()));
        }
        let written = self.file.write_all(lines).and_then(|()| self.file.sync_data());
        written.map_err(io_error(&self.path, "written"))?;
        self.len += lines.len() as u64;
        Ok(())
    }

    /// Puts a whole journal in its place.
    pub(super) fn replace(&mut self, journal: &[u8]) -> Result<(), StateError> {
        // Gone is no hindrance, another in its place is: it may be somebody's.
        match stands(&self.file, &self.path) {
            Ok(true) => {}
            Ok(false) => return Err(StateError::Replaced(self.path.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error(&self.path, "found")(error)),
        }
        self.file = write_beside(&self.path, journal).map_err(io_error(&self.path, "replaced"))?;
        self.len = journal.len() as u64;
        self.base = self.len;
        // Only now: whatever comes of it, the new file is the one that stands.
        sync_directory(&self.path).map_err(io_error(&self.path, "brought to the disk"))
    }
}

/// How large a file may grow that was so large when it was last written whole.
fn largest(base: u64) -> u64 {
    let grown = GROWN.max(base.saturating_mul(GROWTH));
    // Never so large that the next process would not read it.
    grown.min((SIZE_MAX / 2).max(base.saturating_add(GROWN)))
}

fn io_error(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> StateError {
    move |error| StateError::Io { path: path.to_owned(), what, error }
}

/// Whether the file is the one of that name.
fn stands(file: &File, path: &Path) -> io::Result<bool> {
    let (held, named) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((held.dev(), held.ino()) == (named.dev(), named.ino()))
}

fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(SIZE_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > SIZE_MAX {
        return Err(io::Error::other("it is larger than any state file"));
    }
    Ok(text)
}

/// Writes a new file, locks it, and gives it the name.
fn write_beside(path: &Path, text: &[u8]) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = PathBuf::from(name);
    // Left over from a process that was killed just here.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(&beside)?;
    let written = (|| {
        file.try_lock()?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })();
    if let Err(error) = written {
        // Nothing more can be done where this fails too; the next try begins with it.
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    Ok(file)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use super::*;
    use crate::observe::Metrics;

    fn journal() -> Vec<u8> {
        Metrics::new(1).journal(Instant::now(), SystemTime::now(), true)
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        (folder, path)
    }

    #[test]
    fn one_process_at_a_time_holds_it_also_after_it_was_replaced() {
        let (_folder, path) = place();
        let (mut first, _) = StateFile::take(&path).unwrap();
        assert!(matches!(StateFile::take(&path), Err(StateError::Held(_))));
        first.replace(&journal()).unwrap();
        assert!(matches!(StateFile::take(&path), Err(StateError::Held(_))));
        drop(first);
        StateFile::take(&path).unwrap();
    }

    #[test]
    fn what_is_none_of_ours_is_left_as_it_is() {
        let (_folder, path) = place();
        for (text, why) in [
            ("my diary\n", "it is no state file"),
            ("{\"equipoise_state\":1}", "it is no state file"),
            ("{\"equipoise_state\":7}\n", "version 7"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = StateFile::take(&path).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("state.json"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let missing = path.join("none/state.json");
        assert!(StateFile::take(&missing).unwrap_err().to_string().contains("cannot be opened"));
    }

    #[test]
    fn a_broken_tail_is_cut_and_what_stands_before_it_kept() {
        let (_folder, path) = place();
        let (mut state, empty) = StateFile::take(&path).unwrap();
        assert_eq!((empty.accounts(), empty.cut), (0, 0));
        state.replace(&journal()).unwrap();
        let whole = std::fs::metadata(&path).unwrap().len();
        state.append(b"{\"tick\":{\"at\":7,\"wall").unwrap();
        drop(state);
        let (_, read) = StateFile::take(&path).unwrap();
        assert_eq!(read.cut as u64, std::fs::metadata(&path).unwrap().len() - whole);
    }

    #[test]
    fn a_file_that_is_gone_is_made_again_and_a_stranger_never_written_over() {
        let (folder, path) = place();
        let (mut state, _) = StateFile::take(&path).unwrap();
        state.replace(&journal()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(state.append(b"\n").is_err());
        state.replace(&journal()).unwrap();
        state.append(&journal()).unwrap();
        std::fs::write(folder.path().join("other"), "other").unwrap();
        std::fs::rename(folder.path().join("other"), &path).unwrap();
        assert!(matches!(state.append(b"\n"), Err(StateError::Replaced(_))));
        assert!(matches!(state.replace(&journal()), Err(StateError::Replaced(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "other");
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_written() {
        let (folder, path) = place();
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let (mut state, _) = StateFile::take(&link).unwrap();
        let (whole, more) = (journal(), journal());
        state.replace(&whole).unwrap();
        state.append(&more).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&path).unwrap(), [whole, more].concat());
        assert!(matches!(StateFile::take(&path), Err(StateError::Held(_))));
    }

    #[test]
    fn a_file_grows_by_so_much_and_never_beyond_what_can_be_read() {
        const MIB: u64 = 1 << 20;
        for (base, expected) in
            [(0, 1), (MIB / 8, 1), (3 * MIB, 12), (32 * MIB, 128), (64 * MIB, 128), (200 * MIB, 201)]
        {
            assert_eq!(largest(base), expected * MIB, "{base}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_told() {
        let (folder, path) = place();
        let (mut state, _) = StateFile::take(&path).unwrap();
        std::fs::create_dir(folder.path().join("state.json.new")).unwrap();
        let error = state.replace(&journal()).unwrap_err().to_string();
        assert!(error.contains("cannot be replaced"), "{error}");
    }
}
