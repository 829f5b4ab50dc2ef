//! Certificates and keys: load, choose, verify; and the configurations of rustls that are made of them.
//!
//! What goes in are bytes of files, what comes out are configurations, or the part that is wrong and why. Who
//! listens or dials with them is unknown here. Tickets live outside of any configuration: a session goes on over
//! a reload.

mod certificate;
mod choose;
mod client;
mod der;
mod server;
mod shown;
mod tickets;

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ProtocolVersion};

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as implementation;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as implementation;

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("TLS needs one of the features aws-lc-rs and ring");

pub use certificate::{Certificate, Facts};
pub use client::{Authority, ClientFiles, Secure, client_config, server_name};
pub use server::{ServerFiles, server_config};
pub use shown::{Holder, holder};
pub use tickets::TicketKeys;

/// Who does the cryptography, by the name of its cargo feature.
pub const PROVIDER: &str = if cfg!(feature = "aws-lc-rs") { "aws-lc-rs" } else { "ring" };

/// Which of the files that belong together is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The chain of the n-th certificate.
    Chain(usize),
    /// Its key.
    Key(usize),
    /// Its stapled response.
    Ocsp(usize),
    /// Who signs the peer's certificates.
    Authority,
    /// Who of these is revoked.
    Revoked,
    /// The keys of tickets.
    Tickets,
    /// The name that is asked for.
    Name,
}

/// What is wrong, or doubtful, with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Which file.
    pub part: Part,
    /// It can be used all the same.
    pub usable: bool,
    /// A sentence that reads on after the file's name.
    pub message: String,
    /// What to do.
    pub help: Option<&'static str>,
}

impl Flaw {
    fn new(part: Part, message: impl Into<String>) -> Self {
        Self { part, usable: false, message: message.into(), help: None }
    }

    fn help(mut self, help: &'static str) -> Self {
        self.help = Some(help);
        self
    }

    fn doubt(part: Part, message: impl Into<String>) -> Self {
        Self { usable: true, ..Self::new(part, message) }
    }
}

/// The versions that are spoken, from this one on.
fn versions(only_13: bool) -> &'static [&'static rustls::SupportedProtocolVersion] {
    static BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
    if only_13 { &BOTH[..1] } else { BOTH }
}

/// The one provider; never installed as the process's default, so that nothing depends on it unseen. Its suites
/// stand in the order that we prefer.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = implementation::default_provider();
        provider
            .cipher_suites
            .sort_by_key(|suite| (suite.version().version != ProtocolVersion::TLSv1_3, cost(suite.suite())));
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}

/// What comes first costs least: AES-128 has fewer rounds, and its SHA-256 has instructions where SHA-384 has
/// none. All are equally out of reach for an attacker.
fn cost(suite: CipherSuite) -> u8 {
    use CipherSuite::*;
    match suite {
        TLS13_AES_128_GCM_SHA256
        | TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 0,
        TLS13_AES_256_GCM_SHA384
        | TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        | TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests;
