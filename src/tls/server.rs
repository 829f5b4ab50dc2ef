//! The side that clients see.

use std::sync::Arc;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};

use super::certificate::{Certificate, read_chain};
use super::choose::Chooser;
use super::tickets::TicketKeys;
use super::{Flaw, Part, provider, versions};

/// What a listener's files say beside its certificates.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerFiles<'a> {
    /// TLS 1.2 is not spoken.
    pub only_13: bool,
    /// Who signs the certificates of clients, as PEM; `None`: none is asked for.
    pub client_ca: Option<&'a [u8]>,
    /// Which of these are revoked, as PEM.
    pub client_crl: Option<&'a [u8]>,
    /// A client may have none.
    pub client_optional: bool,
}

/// The configuration of a listener that speaks these protocols (by their ALPN names).
///
/// # Errors
/// What makes a file unusable.
pub fn server_config(
    certificates: &[Certificate],
    files: ServerFiles<'_>,
    tickets: &Arc<TicketKeys>,
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, Flaw> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(files.only_13))
        .map_err(|error| Flaw::new(Part::Chain(0), format!("cannot be used: {error}")))?;
    let builder = match files.client_ca {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authority)?), provider());
            let verifier = match files.client_crl {
                // Only who is listed is refused: the list of one authority says nothing of another's clients.
                Some(list) => verifier.with_crls(revoked(list)?).allow_unknown_revocation_status(),
                None => verifier,
            };
            let verifier = if files.client_optional { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| {
                let part = if files.client_crl.is_some() { Part::Revoked } else { Part::Authority };
                Flaw::new(part, format!("cannot be used: {error}"))
            })?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(Chooser::new(certificates)));
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    // Those of OpenSSL would choose AES-256 and SHA-384; and scanners find fault with an order of the client's.
    config.ignore_client_order = true;
    config.ticketer = tickets.under(policy(files));
    // Each resumption gives the next one; rustls would make two at each handshake, and the second is seldom used.
    config.send_tls13_tickets = 1;
    // Tickets alone: a store would be one of this process, behind a lock that all workers share.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// What must be the same for a session to go on; see [`TicketKeys::under`].
fn policy(files: ServerFiles<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [files.client_ca, files.client_crl] {
        let bytes = part.unwrap_or_default();
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    hash.update([u8::from(files.client_optional), u8::from(files.only_13)]);
    hash.finalize().into()
}

/// The authorities of a PEM file.
pub(super) fn roots(pem: &[u8]) -> Result<RootCertStore, Flaw> {
    let mut store = RootCertStore::empty();
    for (at, one) in read_chain(Part::Authority, pem)?.into_iter().enumerate() {
        store.add(one).map_err(|error| {
            Flaw::new(
                Part::Authority,
                format!("holds a certificate that cannot be used, number {}: {error}", at + 1),
            )
        })?;
    }
    Ok(store)
}

fn revoked(pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Flaw> {
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Flaw::new(Part::Revoked, format!("is no valid PEM: {error}")))?;
    match lists.is_empty() {
        true => Err(Flaw::new(Part::Revoked, "holds no list").help("expected PEM: -----BEGIN X509 CRL-----")),
        false => Ok(lists),
    }
}
