//! Values of the right kind → the checked description; checks that need more than one key.
//!
//! After an error a stand-in fills the place, so that the rest is checked too; the caller throws the
//! description away if anything was wrong.

mod health;
mod listener;
mod log;
mod pool;
mod route;
mod slo;
mod sticky;
mod tls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Vocabulary;
use super::model::{Admin, Config, Server};
use super::report::{Code, Diagnostic, Findings, Span, printable};
use super::suggest::nearest;
use super::walk::{Section, Value};

/// Longer than any token in use; a larger file is the wrong one.
const TOKEN_MAX: u64 = 4096;

/// Where nothing else is said.
const RECENT_REQUESTS: usize = 1000;

/// Where things stand, for the lints; parallel to the lists of the description.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub admin_bind: Span,
    pub listeners: Vec<Span>,
    pub binds: Vec<Vec<Span>>,
    pub routes: Vec<Span>,
    pub pools: Vec<PoolPlaces>,
}

/// Where the parts of a pool stand.
#[derive(Debug, Default)]
pub(super) struct PoolPlaces {
    pub section: Span,
    pub backends: Span,
    pub hash_key: Option<Span>,
    pub hash_balance_factor: Option<Span>,
    pub queue: Option<Span>,
    pub health_timeout: Span,
    pub health_method: Span,
    pub verify: Span,
    pub retry_methods: Vec<Span>,
}

/// Names that other sections refer to.
pub(super) struct Names<'a> {
    what: &'static str,
    index: HashMap<&'a str, usize>,
    order: Vec<&'a str>,
    /// One of them could not be read: what is missing may well be there.
    spoilt: bool,
    /// Sections that could not be read; a name that stands in one of them may be its own.
    lost: &'a [&'a str],
}

/// Builds the description.
pub(super) fn config(
    root: &Section,
    text: &str,
    vocabulary: &Vocabulary<'_>,
    findings: &mut Findings,
) -> (Config, Places) {
    let mut places = Places::default();
    let none = Section::default();
    let server = server(root.table("server").unwrap_or(&none), findings);
    let admin = admin(root, &mut places, findings);
    let lost = lost_sections(text, findings);

    let pool_names = root.named("pool").iter().map(|(name, _)| name.as_str());
    let pool_names = Names::new("pool", pool_names, root.spoilt("pool"), &lost);
    let pools = root.named("pool").iter();
    let pools =
        pools.map(|(name, section)| pool::build(name, section, vocabulary, &mut places, findings)).collect();

    let listeners =
        listener::build_all(root.tables("listener"), &pool_names, vocabulary, &mut places, findings);
    listener::check_addresses(&listeners, admin.bind, &places, findings);

    let spoilt = root.spoilt("listener") || listeners.iter().any(|listener| listener.name.is_empty());
    let listener_names = Names::new("listener", listeners.iter().map(|one| one.name.as_str()), spoilt, &lost);
    let routes = route::build_all(root.tables("route"), &pool_names, &listener_names, &mut places, findings);

    let sha256 = hex(&Sha256::digest(text.as_bytes()));
    let log = log::build(root, text, vocabulary, findings);
    let tracing = log::tracing(root, vocabulary, findings);
    let (text, files) = (text.into(), Vec::new());
    (Config { server, admin, log, tracing, listeners, routes, pools, sha256, text, files }, places)
}

fn server(section: &Section, findings: &mut Findings) -> Server {
    let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
    let workers = section.number("workers").and_then(|workers| usize::try_from(workers).ok());
    Server {
        workers: workers.unwrap_or_else(cpus),
        drain_timeout: section.duration("drain_timeout").unwrap_or_default(),
        shutdown_delay: section.duration("shutdown_delay").unwrap_or_default(),
        via: section.boolean("via").unwrap_or(true),
        buffer_memory: section.number("buffer_memory").unwrap_or(0),
        state_file: section.text("state_file").and_then(|file| state_file(file, section, findings)),
        watch_files: section.duration("watch_files").filter(|every| !every.is_zero()),
    }
}

/// Whether it can be written is known only when it is: `check` may run elsewhere, and as somebody else.
fn state_file(file: &str, section: &Section, findings: &mut Findings) -> Option<PathBuf> {
    let path = Path::new(file);
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        let message = format!("`state_file`: {} is no regular file", printable(file));
        let one = Diagnostic::error(Code::Unreadable, section.place("state_file"), message);
        findings.push(one.label("expected the name of a file, which may not exist yet"));
        return None;
    }
    Some(path.to_owned())
}

fn admin(root: &Section, places: &mut Places, findings: &mut Findings) -> Admin {
    let stand_in = SocketAddr::from(([127, 0, 0, 1], 9900));
    let Some(section) = root.table("admin") else {
        return Admin { bind: stand_in, token: None, recent_requests: RECENT_REQUESTS };
    };
    places.admin_bind = section.place("bind");
    let bind = match section.value("bind") {
        Some(Value::Bind(address)) => *address,
        _ => stand_in,
    };
    let token = section.text("token_file").and_then(|file| match token(Path::new(file), findings) {
        Ok(token) => Some(token),
        Err(why) => {
            let message = format!("`token_file`: {} {why}", printable(file));
            findings.push(
                Diagnostic::error(Code::Unreadable, section.place("token_file"), message)
                    .label("expected a readable file with the token"),
            );
            None
        }
    });
    let recent = section.number("recent_requests").and_then(|number| usize::try_from(number).ok());
    Admin { bind, token, recent_requests: recent.unwrap_or(RECENT_REQUESTS) }
}

/// The token without the white space around it; the error reads on after the file's name.
fn token(file: &Path, findings: &mut Findings) -> Result<String, String> {
    let bytes = findings.read(file, TOKEN_MAX).map_err(|why| format!("cannot be read: {why}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "is no text".to_owned())?;
    let token = text.trim();
    if token.is_empty() {
        return Err("is empty".into());
    }
    // It is compared with the value of an Authorization field, which can hold nothing else.
    if !token.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
        return Err("must hold one word of visible ASCII".into());
    }
    Ok(token.to_owned())
}

/// The text of the sections whose header could not be read.
fn lost_sections<'a>(text: &'a str, findings: &Findings) -> Vec<&'a str> {
    let mut lost = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let span = at..at + line.len();
        at = span.end;
        if line.trim_start().starts_with('[') && findings.is_broken(&span) {
            lost.extend(text.get(super::syntax::extent(text, &(span.start..span.end - 1))));
        }
    }
    lost
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        out.push_str(&format!("{byte:02x}"));
        out
    })
}

impl<'a> Names<'a> {
    fn new(
        what: &'static str,
        names: impl Iterator<Item = &'a str>,
        spoilt: bool,
        lost: &'a [&'a str],
    ) -> Names<'a> {
        let order: Vec<&str> = names.collect();
        // The first of two equal names is meant; the second is an error of its own.
        let index = order.iter().enumerate().rev().map(|(at, name)| (*name, at)).collect();
        Names { what, index, order, spoilt, lost }
    }

    /// The index of `name`, or an error at `span`.
    pub(super) fn find(&self, name: &str, span: Span, findings: &mut Findings) -> Option<usize> {
        let found = self.index.get(name).copied();
        if found.is_none() && !self.spoilt && !self.lost.iter().any(|section| section.contains(name)) {
            let message = format!("there is no {} named \"{}\"", self.what, printable(name));
            let one = Diagnostic::error(Code::DanglingReference, span, message);
            let near = if findings.is_full() { None } else { nearest(name, self.order.iter().copied()) };
            let help =
                near.map(|near| format!("did you mean \"{}\"?", printable(near))).or_else(|| self.list());
            findings.push(one.label(format!("expected the name of a {}", self.what)).help(help));
        }
        found
    }

    fn list(&self) -> Option<String> {
        /// More names than this help nobody.
        const LISTED_MAX: usize = 8;
        let shown: Vec<_> = self.order.iter().take(LISTED_MAX).map(|name| printable(name)).collect();
        match self.order.len() {
            0 => Some(format!("the file has no {}", self.what)),
            count if count > LISTED_MAX => Some(format!("there are {}, …", shown.join(", "))),
            _ => Some(format!("there is {}", shown.join(", "))),
        }
    }
}

/// Reports names that stand twice. Each comes with its place and whether it was written or is the default;
/// `default`: what that is, in words.
fn unique<'a>(
    what: &str,
    named: impl Iterator<Item = (&'a str, Span, bool)>,
    default: &str,
    findings: &mut Findings,
) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    // A name that could not be read is empty here, and was reported.
    for (name, span, written) in named.filter(|(name, ..)| !name.is_empty()) {
        match seen.get(name) {
            Some(first) => findings.push(
                Diagnostic::error(
                    Code::DuplicateName,
                    span,
                    format!("a second {what} named \"{}\"", printable(name)),
                )
                .label("the second one")
                .note(first.clone(), "the first one is here")
                .help((!written).then_some(default)),
            ),
            None => {
                seen.insert(name, span);
            }
        }
    }
}
