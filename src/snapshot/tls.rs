//! From the files of a configuration to what TLS is done with, and what is wrong with them on the way.

use std::sync::Arc;
use std::time::Instant;

use rustls::{ClientConfig, ServerConfig};

use crate::config::{self, TlsFlaw, TlsKey};
use crate::tls::{
    Authority, Certificate, ClientFiles, Facts, Flaw, Part, Secure, ServerFiles, TicketKeys, client_config,
    server_config, server_name,
};
use crate::trace::{BadEndpoint, Endpoint, Given};
use crate::upstream::Protocol;

/// What is offered to backends inside of TLS, by its ALPN name; what we like best stands first.
fn offered(protocol: Protocol) -> &'static [&'static [u8]] {
    match protocol {
        Protocol::Http1 => &[b"http/1.1"],
        Protocol::Http2 => &[b"h2"],
        Protocol::Either => &[b"h2", b"http/1.1"],
    }
}

/// TLS at one listener.
#[derive(Debug, Clone)]
pub(super) struct Termination {
    /// How handshakes are made.
    pub(super) config: Arc<ServerConfig>,
    /// What it shows to clients.
    pub(super) certificates: Vec<Facts>,
}

/// TLS to the backends of one pool.
#[derive(Debug, Clone)]
pub(super) struct Origination {
    pub(super) config: Arc<ClientConfig>,
    source: config::PoolTls,
    protocol: Protocol,
}

/// What is wrong, or doubtful, with the files of a listener.
pub(super) fn listener_flaws(tls: &config::ListenerTls) -> Vec<TlsFlaw> {
    let mut doubts = Vec::new();
    let random = TicketKeys::random(Instant::now());
    // What is spoken makes no file better or worse.
    let protocols = config::Protocols { h1: true, h2: true };
    let fatal = terminate(tls, protocols, &random, &mut doubts).err();
    doubts.into_iter().chain(fatal).map(translate).collect()
}

/// The same of a pool whose backends have these addresses.
pub(super) fn pool_flaws(tls: &config::PoolTls, addresses: &[&str]) -> Vec<TlsFlaw> {
    let mut doubts = Vec::new();
    let fatal = client_config(client_files(tls), offered(Protocol::Http1), &mut doubts).err();
    let asked = |address: &&str| server_name(tls.server_name.as_deref(), address).err();
    let name = addresses.iter().find_map(asked);
    doubts.into_iter().chain(fatal).chain(name).map(translate).collect()
}

/// What is wrong, or doubtful, with a collector: its URL, and the files that are given with it.
pub(super) fn collector_flaws(tracing: &config::Tracing) -> Vec<TlsFlaw> {
    let named = |message: String| TlsFlaw { key: TlsKey::Name, usable: false, message, help: None };
    let mut doubts = Vec::new();
    let fatal = match collector(tracing).map(|read| read.map(|endpoint| endpoint.secure(&mut doubts))) {
        None | Some(Ok(Ok(_))) => None,
        Some(Ok(Err(flaw))) => Some(translate(flaw)),
        Some(Err(why)) => Some(named(why.to_string())),
    };
    doubts.into_iter().map(translate).chain(fatal).collect()
}

/// The collector to which spans go; `None`: there is none.
pub fn collector(tracing: &config::Tracing) -> Option<Result<Endpoint, BadEndpoint>> {
    let own = tracing.own.as_ref().map(|(chain, key)| (&chain[..], &key.0[..]));
    let fields = tracing.headers.iter().map(|field| (&*field.name, &field.value.0[..]));
    let given = Given { ca: tracing.ca.as_deref(), own, fields: fields.collect() };
    Some(Endpoint::read(tracing.otlp.as_deref()?, &given))
}

/// Compiles a listener's TLS. `tickets` are those of the process.
pub(super) fn terminate(
    tls: &config::ListenerTls,
    protocols: config::Protocols,
    tickets: &Arc<TicketKeys>,
    doubts: &mut Vec<Flaw>,
) -> Result<Termination, Flaw> {
    let mut certificates = Vec::with_capacity(tls.certificates.len());
    for (n, files) in tls.certificates.iter().enumerate() {
        certificates.push(Certificate::load(n, &files.chain, &files.key.0, files.ocsp.as_deref(), doubts)?);
    }
    let files = ServerFiles {
        only_13: tls.only_13,
        client_ca: tls.client_ca.as_deref(),
        client_crl: tls.client_crl.as_deref(),
        client_optional: tls.client_optional,
    };
    let own;
    let tickets = match &tls.ticket_keys {
        Some(secrets) => {
            own = TicketKeys::from_file(&secrets.0, Instant::now())?;
            &own
        }
        None => tickets,
    };
    // What we like best stands first.
    let spoken = [(protocols.h2, &b"h2"[..]), (protocols.h1, b"http/1.1")];
    let names: Vec<&[u8]> =
        spoken.into_iter().filter_map(|(is_spoken, name)| is_spoken.then_some(name)).collect();
    let config = server_config(&certificates, files, tickets, &names)?;
    Ok(Termination { config, certificates: certificates.into_iter().map(|one| one.facts).collect() })
}

/// Compiles a pool's TLS. Where nothing has changed the one from before goes on, with its sessions and open
/// connections.
pub(super) fn originate(
    tls: &config::PoolTls,
    protocol: Protocol,
    before: Option<&Origination>,
) -> Result<Origination, Flaw> {
    match before {
        Some(before) if before.source == *tls && before.protocol == protocol => Ok(before.clone()),
        _ => {
            let config = client_config(client_files(tls), offered(protocol), &mut Vec::new())?;
            Ok(Origination { config, source: tls.clone(), protocol })
        }
    }
}

impl Origination {
    /// TLS to the backend of an address.
    pub(super) fn to(&self, address: &str) -> Result<Secure, Flaw> {
        let name = server_name(self.source.server_name.as_deref(), address)?;
        Ok(Secure { config: Arc::clone(&self.config), name })
    }
}

fn client_files(tls: &config::PoolTls) -> ClientFiles<'_> {
    let authority = match (&tls.ca, tls.verify) {
        (_, false) => Authority::Anybody,
        (Some(pem), true) => Authority::File(pem),
        (None, true) => Authority::System,
    };
    ClientFiles { authority, own: tls.own.as_ref().map(|(chain, key)| (&chain[..], &key.0[..])) }
}

fn translate(flaw: Flaw) -> TlsFlaw {
    let key = match flaw.part {
        Part::Chain(n) => TlsKey::Chain(n),
        Part::Key(n) => TlsKey::Key(n),
        Part::Ocsp(n) => TlsKey::Ocsp(n),
        Part::Authority => TlsKey::Authority,
        Part::Revoked => TlsKey::Revoked,
        Part::Tickets => TlsKey::Tickets,
        Part::Name => TlsKey::Name,
    };
    TlsFlaw { key, usable: flaw.usable, message: flaw.message, help: flaw.help }
}
