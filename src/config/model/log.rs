//! What `[log]` and `[tracing]` say.

use std::path::PathBuf;

use super::Secret;

/// `[log]`
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Default info.
    pub level: LogLevel,
    /// `None`: text on a terminal, JSON otherwise.
    pub format: Option<LogFormat>,
    /// `[log.access]`; `None`: off.
    pub access: Option<AccessLog>,
}

/// `[tracing]`
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    /// The URL of a collector; `None`: no span is made.
    pub otlp: Option<String>,
    /// Who signs its certificate, as PEM; `None`: the system's roots.
    pub ca: Option<Vec<u8>>,
    /// The chain that it is shown, and its key, as PEM.
    pub own: Option<(Vec<u8>, Secret)>,
    /// What else is said with each post.
    pub headers: Vec<OwnField>,
    /// Share of the traces begun here that are recorded. Default 0.01.
    pub sample: f64,
}

/// A field that goes with messages of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnField {
    /// Its name in lower case.
    pub name: String,
    /// Visible ASCII.
    pub value: Secret,
}

/// `[log.access]`
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// How a line is written.
    pub form: AccessForm,
    /// `None`: standard output.
    pub path: Option<PathBuf>,
    /// Share of the requests that are written; errors always are. Default 1.
    pub sample: f64,
    /// What of queries is not shown. Default: all is.
    pub mask_query: MaskQuery,
    /// Bytes after which the file is put away; 0: never. Default 0.
    pub max_size: u64,
    /// How many that were put away are kept; at least 1. Default 5.
    pub keep: u32,
}

/// `format` and `template` of `[log.access]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessForm {
    /// An object; the names of its fields, none: the default ones.
    Json(Vec<String>),
    /// Apache's common log format.
    Common,
    /// Apache's combined one.
    Combined,
    /// HAProxy's `option httplog`.
    Haproxy,
    /// One of the operator's own.
    Template(Vec<TemplatePiece>),
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePiece {
    /// Stands as it is.
    Text(String),
    /// The name of a variable.
    Name(String),
}

/// `mask_query`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaskQuery {
    /// All is shown.
    Nothing,
    /// Nothing is.
    Whole,
    /// The values of these parameters are not.
    Named(Vec<String>),
}

/// `log.level`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the values
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// `log.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the values
pub enum LogFormat {
    Text,
    Json,
}
