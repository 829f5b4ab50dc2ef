//! Where the configuration comes from.

use std::path::PathBuf;

use crate::config::{self, Reading};
use crate::snapshot;

/// Where the configuration is read from at a start and at each reload.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A text that is part of the program, under this name.
    Text(&'static str, String),
}

impl Source {
    /// Its name: the path of a file.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Text(name, _) => (*name).to_owned(),
        }
    }

    /// Reads and checks this text as if it stood there.
    pub(super) fn read_text(&self, text: &str) -> Reading {
        config::read(&self.name(), text, &snapshot::vocabulary())
    }

    /// Reads and checks it.
    pub fn read(&self) -> Reading {
        let vocabulary = snapshot::vocabulary();
        match self {
            Self::File(path) => config::load(path, &vocabulary),
            Self::Text(name, text) => config::read(name, text, &vocabulary),
        }
    }
}
