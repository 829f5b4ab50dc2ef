//! `[listener.tls]`, `[pool.NAME.tls]` and the collector of `[tracing]`: reads the files that they name, and has them looked
//! into.

use std::path::Path;

use crate::config::Vocabulary;
use crate::config::model::{
    Backend, CertificateFiles, ListenerTls, PoolTls, Secret, TlsFlaw, TlsKey, Tracing,
};
use crate::config::report::{Code, Diagnostic, Findings, Span, printable};
use crate::config::walk::{Section, Value};

/// A certificate with its chain, or a key, is a few KiB; the roots of a whole system are 250.
const PEM_MAX: u64 = 4 << 20;

/// Lists of revoked certificates grow with the years.
const CRL_MAX: u64 = 64 << 20;

pub(super) fn listener(
    section: &Section,
    vocabulary: &Vocabulary<'_>,
    findings: &mut Findings,
) -> Option<ListenerTls> {
    let given = section.given("tls")?;
    let section = section.table("tls")?;
    let all = Files { section, findings };
    let Some(tls) = all.listener(&given.key) else { return Some(stand_in()) };
    let certificates: Vec<&Section> = certificates(section).collect();
    for flaw in (vocabulary.listener_tls)(&tls) {
        let (at, key) = match flaw.key {
            TlsKey::Chain(n) => (certificates.get(n).copied(), "cert"),
            TlsKey::Key(n) => (certificates.get(n).copied(), "key"),
            TlsKey::Ocsp(n) => (certificates.get(n).copied(), "ocsp"),
            TlsKey::Authority | TlsKey::Name => (Some(section), "client_ca"),
            TlsKey::Revoked => (Some(section), "client_crl"),
            TlsKey::Tickets => (Some(section), "ticket_keys"),
        };
        report(at.unwrap_or(section), key, &flaw, findings);
    }
    Some(tls)
}

pub(super) fn pool(
    section: &Section,
    backends: &[Backend],
    vocabulary: &Vocabulary<'_>,
    findings: &mut Findings,
) -> Option<PoolTls> {
    section.given("tls")?;
    let section = section.table("tls")?;
    let verify = section.boolean("verify").unwrap_or(true);
    let mut all = Files { section, findings };
    if !verify {
        all.conflict("ca", "verify", "has no meaning with verify = false");
    }
    let (ca, cert, key) = (all.read("ca", PEM_MAX), all.read("cert", PEM_MAX), all.read("key", PEM_MAX));
    all.together("cert", "key");
    all.together("key", "cert");
    let own = match (cert, key) {
        (Ok(Some(cert)), Ok(Some(key))) => Some((cert, Secret(key))),
        (Ok(_), Ok(_)) => None,
        _ => return Some(PoolTls { ca: None, server_name: None, own: None, verify }),
    };
    let server_name = section.text("server_name").map(str::to_owned);
    let Ok(ca) = ca else { return Some(PoolTls { ca: None, server_name, own, verify }) };
    let tls = PoolTls { ca, server_name, own, verify };
    let addresses: Vec<&str> = backends.iter().map(|backend| backend.address.as_str()).collect();
    for flaw in (vocabulary.pool_tls)(&tls, &addresses) {
        let key = match flaw.key {
            TlsKey::Chain(_) => "cert",
            TlsKey::Key(_) => "key",
            TlsKey::Name => "server_name",
            _ => "ca",
        };
        report(section, key, &flaw, findings);
    }
    Some(tls)
}

/// How a collector of spans is spoken with: reads the files of `[tracing]`.
pub(super) fn collector(
    section: &Section,
    tracing: &mut Tracing,
    vocabulary: &Vocabulary<'_>,
    findings: &mut Findings,
) {
    let mut files = Files { section, findings };
    let Some(url) = tracing.otlp.clone() else {
        for key in ["ca", "cert", "key", "headers", "headers_file"] {
            files.together(key, "otlp");
        }
        return;
    };
    if !url.starts_with("https://") {
        for key in ["ca", "cert", "key"] {
            files.conflict(key, "otlp", "has no meaning without https://");
        }
    }
    let read = ["ca", "cert", "key"].map(|key| files.read(key, PEM_MAX));
    files.together("cert", "key");
    files.together("key", "cert");
    let [Ok(ca), Ok(cert), Ok(key)] = read else { return };
    (tracing.ca, tracing.own) = (ca, cert.zip(key.map(Secret)));
    for flaw in (vocabulary.otlp)(tracing) {
        match flaw.key {
            TlsKey::Authority if tracing.ca.is_some() => report(section, "ca", &flaw, findings),
            TlsKey::Chain(_) => report(section, "cert", &flaw, findings),
            TlsKey::Key(_) => report(section, "key", &flaw, findings),
            _ => {
                let why =
                    format!("`otlp`: spans cannot be sent to \"{}\": {}", printable(&url), flaw.message);
                let one = Diagnostic::error(Code::BadValue, section.place("otlp"), why);
                findings.push(one.label("expected a URL such as \"http://127.0.0.1:4318\"").help(flaw.help));
            }
        }
    }
}

/// What stands for files that could not be read: the description is thrown away.
fn stand_in() -> ListenerTls {
    ListenerTls {
        certificates: Vec::new(),
        only_13: false,
        client_ca: None,
        client_crl: None,
        client_optional: false,
        client_cert_headers: false,
        ticket_keys: None,
    }
}

fn certificates(section: &Section) -> impl Iterator<Item = &Section> {
    let items = section.list("certificates").iter();
    items.filter_map(|item| if let Value::Table(table) = &item.value { Some(table) } else { None })
}

fn report(section: &Section, key: &str, flaw: &TlsFlaw, findings: &mut Findings) {
    let file = section.text(key).map(|file| format!("{} ", printable(file))).unwrap_or_default();
    let message = format!("`{key}`: {file}{}", flaw.message);
    let one = match flaw.usable {
        true => Diagnostic::warning(Code::DoubtfulCertificate, section.place(key), message),
        false => Diagnostic::error(Code::BadValue, section.place(key), message),
    };
    findings.push(one.help(flaw.help));
}

/// The files of one table. An `Err` was reported.
struct Files<'a> {
    section: &'a Section,
    findings: &'a mut Findings,
}

impl Files<'_> {
    fn listener(mut self, at: &Span) -> Option<ListenerTls> {
        self.together("client_crl", "client_ca");
        self.together("client_auth", "client_ca");
        self.together("client_cert_headers", "client_ca");
        let section = self.section;
        if section.given("certificates").is_none() {
            let one = Diagnostic::error(Code::MissingKey, at.clone(), "[listener.tls] lacks `certificates`");
            self.findings.push(
                one.label("`certificates` is missing")
                    .help(Some("certificates = [{ cert = \"FILE\", key = \"FILE\" }]")),
            );
        }
        let certificates: Vec<_> = certificates(section)
            .map(|section| Files { section, findings: &mut *self.findings }.certificate())
            .collect();
        let (client_ca, client_crl) = (self.read("client_ca", PEM_MAX), self.read("client_crl", CRL_MAX));
        let ticket_keys = self.read("ticket_keys", PEM_MAX);
        if certificates.is_empty() {
            return None;
        }
        Some(ListenerTls {
            certificates: certificates.into_iter().collect::<Option<_>>()?,
            only_13: section.text("min_version") == Some("1.3"),
            client_ca: client_ca.ok()?,
            client_crl: client_crl.ok()?,
            client_optional: section.text("client_auth") == Some("optional"),
            client_cert_headers: section.boolean("client_cert_headers").unwrap_or(false),
            ticket_keys: ticket_keys.ok()?.map(Secret),
        })
    }

    fn certificate(mut self) -> Option<CertificateFiles> {
        let (chain, key, ocsp) =
            (self.read("cert", PEM_MAX), self.read("key", PEM_MAX), self.read("ocsp", PEM_MAX));
        Some(CertificateFiles { chain: chain.ok()??, key: Secret(key.ok()??), ocsp: ocsp.ok()? })
    }

    /// The file that a key names; `None` where it is absent.
    fn read(&mut self, key: &str, most: u64) -> Result<Option<Vec<u8>>, ()> {
        let Some(file) = self.section.text(key) else { return Ok(None) };
        self.findings.read(Path::new(file), most).map(Some).map_err(|why| {
            let message = format!("`{key}`: {} cannot be read: {why}", printable(file));
            let one = Diagnostic::error(Code::Unreadable, self.section.place(key), message);
            self.findings.push(one.label("expected a readable file"));
        })
    }

    /// Where one stands the other must.
    fn together(&mut self, key: &str, other: &str) {
        if let Some(entry) = self.section.given(key)
            && self.section.given(other).is_none()
        {
            let message = format!("`{key}` has no meaning without `{other}`");
            let one = Diagnostic::error(Code::Conflict, entry.key.clone(), message);
            self.findings.push(one.label("nothing reads it").help(Some(format!("add `{other}`"))));
        }
    }

    fn conflict(&mut self, key: &str, other: &str, why: &str) {
        if let Some(entry) = self.section.given(key) {
            let one = Diagnostic::error(Code::Conflict, entry.key.clone(), format!("`{key}` {why}"));
            self.findings.push(
                one.label("nothing reads it").note(self.section.place(other), format!("`{other}` is here")),
            );
        }
    }
}
