//! Files that the configuration names, and what tells that one of them has changed.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::units;

/// A file that was read with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// Where it is; a relative path counts from the working directory.
    pub path: PathBuf,
    /// As it was read.
    pub stamp: Stamp,
}

/// What tells a file from one that was put in its place, or written over. Default: there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp(Option<Numbers>);

/// The time of the last change of the inode stands for those that keep the time of the content (`cp -p`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    device: u64,
    inode: u64,
    length: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of what is there now; links are followed.
    pub fn of(path: &Path) -> Self {
        std::fs::metadata(path).map_or(Self::default(), |meta| Self::from(&meta))
    }
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        Self(Some(Numbers {
            device: meta.dev(),
            inode: meta.ino(),
            length: meta.len(),
            written: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }))
    }
}

/// All of a file, unless it is larger than `most` bytes, and its stamp from before it was read.
pub(super) fn read_bounded(path: &Path, most: u64) -> Result<(Vec<u8>, Stamp), String> {
    read(File::open(path), most)
}

/// The same of a regular file. A pipe would be waited for, and with it all that the thread of a reload does.
pub(super) fn read_regular(path: &Path, most: u64) -> Result<(Vec<u8>, Stamp), String> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path);
    if file.as_ref().ok().and_then(|file| file.metadata().ok()).is_some_and(|meta| is_special(&meta)) {
        return Err("is no regular file".into());
    }
    read(file, most)
}

fn is_special(meta: &Metadata) -> bool {
    !meta.is_file() && !meta.is_dir()
}

fn read(file: std::io::Result<File>, most: u64) -> Result<(Vec<u8>, Stamp), String> {
    let file = file.map_err(|error| error.to_string())?;
    let meta = file.metadata().map_err(|error| error.to_string())?;
    // A directory opens well; reading it would fail with a message that says less.
    if meta.is_dir() {
        return Err("is a directory".into());
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("is larger than {}", units::size_text(most)));
    }
    Ok((bytes, Stamp::from(&meta)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_what_was_written_over_or_put_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("one"), dir.path().join("other"));
        assert_eq!(Stamp::of(&file), Stamp::default());
        std::fs::write(&file, "a").unwrap();
        let first = Stamp::of(&file);
        assert_eq!((first, Stamp::of(&file)), (read_bounded(&file, 9).unwrap().1, first));
        std::fs::write(&file, "bc").unwrap();
        let second = Stamp::of(&file);
        assert_ne!(first, second);
        std::fs::write(&other, "de").unwrap();
        std::fs::rename(&other, &file).unwrap();
        assert_ne!(second, Stamp::of(&file));
    }
}
