//! The side that backends see.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::certificate::{Certificate, read_chain};
use super::{Flaw, Part, der, provider, server, versions};

/// Backends whose sessions one pool remembers.
const MAX_SESSIONS: usize = 1024;

/// Whom a pool believes.
#[derive(Debug, Clone, Copy)]
pub enum Authority<'a> {
    /// The roots of the system.
    System,
    /// Those of a PEM file.
    File(&'a [u8]),
    /// Anybody.
    Anybody,
}

/// What a pool's files say.
#[derive(Debug, Clone, Copy)]
pub struct ClientFiles<'a> {
    /// Who signs the certificates of the backends.
    pub authority: Authority<'a>,
    /// Our own certificate: chain and key, as PEM.
    pub own: Option<(&'a [u8], &'a [u8])>,
}

/// TLS to one backend.
#[derive(Debug, Clone)]
pub struct Secure {
    /// The pool's.
    pub config: Arc<ClientConfig>,
    /// The name that is asked for, and that the certificate must hold.
    pub name: ServerName<'static>,
}

impl PartialEq for Secure {
    /// Whether what one connection promises the other does too.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for Secure {}

/// The name of a backend: as given, or the host of its address.
///
/// # Errors
/// It is no name that TLS can ask for.
pub fn server_name(given: Option<&str>, address: &str) -> Result<ServerName<'static>, Flaw> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let name = given.unwrap_or(host);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(ip.into()));
    }
    ServerName::try_from(name.to_owned()).map_err(|_| {
        Flaw::new(Part::Name, format!("«{name}» is no name that a certificate can hold"))
            .help("set server_name")
    })
}

/// The configuration of a pool that speaks these protocols (by their ALPN names). What is doubtful goes to
/// `doubts`.
///
/// # Errors
/// What makes a file unusable.
pub fn client_config(
    files: ClientFiles<'_>,
    protocols: &[&[u8]],
    doubts: &mut Vec<Flaw>,
) -> Result<Arc<ClientConfig>, Flaw> {
    let unusable =
        |error: &dyn std::fmt::Display| Flaw::new(Part::Authority, format!("cannot be used: {error}"));
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(false))
        .map_err(|error| unusable(&error))?;
    let verifier: Arc<dyn ServerCertVerifier> = match files.authority {
        Authority::Anybody => Arc::new(Believer(provider())),
        Authority::System => verifier(system_roots()?).map_err(|error| unusable(&error))?,
        Authority::File(pem) => {
            let by_chain = verifier(server::roots(pem)?).map_err(|error| unusable(&error))?;
            Arc::new(Acquaintance { by_chain, known: read_chain(Part::Authority, pem)? })
        }
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match files.own {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let own = Certificate::load(0, chain, key, None, doubts)?;
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(own.key)))
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(MAX_SESSIONS);
    Ok(Arc::new(config))
}

fn verifier(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, rustls::client::VerifierBuilderError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()
}

/// The system's roots: some hundred certificates.
fn system_roots() -> Result<RootCertStore, Flaw> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(loaded.certs);
    if added == 0 {
        let why = loaded.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(Flaw::new(Part::Authority, format!("the system has no roots{why}"))
            .help("install ca-certificates, or set `ca`"));
    }
    Ok(roots)
}

/// Takes the certificates of a file themselves, beside those that they have signed: what `openssl req -x509`
/// makes is an authority, and as such rustls would not take it for a server.
#[derive(Debug)]
struct Acquaintance {
    by_chain: Arc<WebPkiServerVerifier>,
    known: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Acquaintance {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.known.iter().any(|known| known == shown) {
            return self.by_chain.verify_server_cert(shown, chain, name, ocsp, now);
        }
        verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
        let fields = der::certificate(shown).ok_or(CertificateError::BadEncoding)?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < fields.not_before {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > fields.not_after {
            return Err(CertificateError::Expired.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_chain.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_chain.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_chain.supported_verify_schemes()
    }
}

/// Takes every certificate, and still lets nobody use one whose key he does not have.
#[derive(Debug)]
struct Believer(Arc<CryptoProvider>);

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
