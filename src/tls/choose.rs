//! Which certificate a client gets.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// Certificates by the name that the client asks for: exact before wildcard, then the default. Of several for
/// one name the first is taken whose kind of key the client can verify, so that RSA may stand beside ECDSA.
#[derive(Debug)]
pub(super) struct Chooser {
    /// Names, and wildcards without their `*`.
    named: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// The first, and those for the same names.
    default: Vec<Arc<CertifiedKey>>,
}

impl Chooser {
    pub(super) fn new(certificates: &[Certificate]) -> Self {
        let mut named: HashMap<Box<str>, Vec<Arc<CertifiedKey>>> = HashMap::new();
        for certificate in certificates {
            for name in &certificate.names {
                let name = name.strip_prefix('*').unwrap_or(name);
                named.entry(name.into()).or_default().push(Arc::clone(&certificate.key));
            }
        }
        let first = certificates.first().map(|certificate| &certificate.names);
        let default = certificates
            .iter()
            .enumerate()
            .filter(|(at, certificate)| {
                *at == 0 || (Some(&certificate.names) == first && !certificate.names.is_empty())
            })
            .map(|(_, certificate)| Arc::clone(&certificate.key))
            .collect();
        Self { named, default }
    }

    /// Those for a name in lower case.
    fn group(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let found = name.and_then(|name| {
            // A wildcard stands for exactly one label (RFC 6125 6.4.3).
            let wild = || name.find('.').and_then(|dot| self.named.get(&name[dot..]));
            self.named.get(name).or_else(wild)
        });
        found.unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let group = self.group(name.as_deref());
        let schemes = hello.signature_schemes();
        let fits = group.iter().find(|key| key.key.choose_scheme(schemes).is_some());
        fits.or(group.first()).cloned()
    }
}
