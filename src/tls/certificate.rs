//! A chain, its key, and what is known of them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{Flaw, Part, der, provider};

/// A certificate that can be shown to clients.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// For rustls.
    pub(super) key: Arc<CertifiedKey>,
    /// The DNS names that it is for, in lower case; a wildcard with its `*.`.
    pub(super) names: Vec<String>,
    /// For operators.
    pub facts: Facts,
}

/// What operators want to know of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The first name that it is for.
    pub name: String,
    /// In lower-case hexadecimal.
    pub serial: String,
    /// Seconds since the epoch.
    pub not_after: i64,
}

impl Certificate {
    /// Loads the n-th certificate of a list. What is doubtful goes to `doubts`.
    ///
    /// # Errors
    /// What makes it unusable.
    pub fn load(
        n: usize,
        chain: &[u8],
        key: &[u8],
        ocsp: Option<&[u8]>,
        doubts: &mut Vec<Flaw>,
    ) -> Result<Self, Flaw> {
        let chain = read_chain(Part::Chain(n), chain)?;
        let key = read_key(Part::Key(n), key)?;
        let signing = provider().key_provider.load_private_key(key).map_err(|error| {
            Flaw::new(Part::Key(n), format!("holds a key that cannot be used: {}", plainly(&error)))
                .help("RSA of 2048 bits and more, ECDSA on P-256 or P-384, and Ed25519 can be used")
        })?;
        let mut certified = CertifiedKey::new(chain, signing);
        if let Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) =
            certified.keys_match()
        {
            return Err(mismatch(n, certified));
        }
        if let Some(response) = ocsp {
            certified.ocsp = Some(staple(n, response)?);
        }
        let leaf = certified.end_entity_cert().map_err(|error| unreadable(n, &error))?.clone();
        let parsed = webpki::EndEntityCert::try_from(&leaf).map_err(|error| unreadable(n, &error))?;
        let names: Vec<String> = parsed.valid_dns_names().map(str::to_ascii_lowercase).collect();
        let fields = der::certificate(&leaf).ok_or_else(|| unreadable(n, &"not DER"))?;
        doubt_dates(n, &fields, doubts);
        doubt_chain(n, &certified.cert, doubts);
        let serial =
            fields.serial.iter().skip_while(|byte| **byte == 0).fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
        let name = names.first().cloned().unwrap_or_default();
        let facts = Facts { name, serial, not_after: fields.not_after };
        Ok(Self { key: Arc::new(certified), names, facts })
    }
}

/// Every certificate of a PEM file.
pub(super) fn read_chain(part: Part, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Flaw::new(part, format!("is no valid PEM: {error}")))?;
    if !chain.is_empty() {
        return Ok(chain);
    }
    let flaw = Flaw::new(part, "holds no certificate");
    Err(match kinds(pem).iter().any(|kind| is_key(*kind)) {
        true => flaw.help("it holds a private key: are the two files swapped?"),
        false => flaw.help("expected PEM: -----BEGIN CERTIFICATE-----"),
    })
}

pub(super) fn read_key(part: Part, pem: &[u8]) -> Result<PrivateKeyDer<'static>, Flaw> {
    // rustls-pki-types passes over what it does not know, and takes PKCS#1 in the old encrypted form for garbage.
    let marks: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];
    if marks.iter().any(|mark| memchr::memmem::find(pem, mark).is_some()) {
        return Err(Flaw::new(part, "holds an encrypted key")
            .help("nobody is there to type its password: openssl pkey -in IN -out OUT, and chmod 600"));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound if !kinds(pem).is_empty() => {
            Flaw::new(part, "holds no private key").help("it holds a certificate: are the two files swapped?")
        }
        rustls::pki_types::pem::Error::NoItemsFound => {
            Flaw::new(part, "holds no private key").help("expected PEM: -----BEGIN PRIVATE KEY-----")
        }
        error => Flaw::new(part, format!("is no valid PEM: {error}")),
    })
}

fn kinds(pem: &[u8]) -> Vec<SectionKind> {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(pem).map_while(|item| item.ok().map(|(kind, _)| kind)).collect()
}

fn is_key(kind: SectionKind) -> bool {
    matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey)
}

fn unreadable(n: usize, why: &dyn std::fmt::Display) -> Flaw {
    Flaw::new(Part::Chain(n), format!("holds a certificate that cannot be read: {why}"))
}

/// Why a key was not taken, without the words of the library around it.
fn plainly(error: &rustls::Error) -> String {
    match error {
        rustls::Error::General(why) => why.clone(),
        other => other.to_string(),
    }
}

fn mismatch(n: usize, certified: CertifiedKey) -> Flaw {
    let CertifiedKey { mut cert, key, .. } = certified;
    cert.rotate_left(1);
    let fits_another = (1..cert.len()).any(|_| {
        let fits = CertifiedKey::new(cert.clone(), Arc::clone(&key)).keys_match().is_ok();
        cert.rotate_left(1);
        fits
    });
    let flaw = Flaw::new(Part::Key(n), "is not the key of the certificate");
    match fits_another {
        true => {
            flaw.help("it is that of a later certificate of the chain: the server's own must stand first")
        }
        false => flaw.help("compare: openssl x509 -pubkey -noout -in CERT; openssl pkey -pubout -in KEY"),
    }
}

fn staple(n: usize, response: &[u8]) -> Result<Vec<u8>, Flaw> {
    match der::ocsp_status(response) {
        Some(0) => Ok(response.to_vec()),
        Some(status) => {
            Err(Flaw::new(Part::Ocsp(n), format!("holds an OCSP response of status {status}: no answer")))
        }
        None => Err(Flaw::new(Part::Ocsp(n), "holds no OCSP response in DER")
            .help("openssl ocsp -respout FILE writes one")),
    }
}

fn doubt_dates(n: usize, fields: &der::Fields, doubts: &mut Vec<Flaw>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let days = |seconds: i64| seconds / 86_400;
    if fields.not_after < now {
        let message = format!("holds a certificate that expired {} days ago", days(now - fields.not_after));
        doubts.push(Flaw::doubt(Part::Chain(n), message).help("clients will refuse it: renew it"));
    } else if fields.not_before > now {
        let message =
            format!("holds a certificate that is valid only in {} days", days(fields.not_before - now));
        doubts.push(Flaw::doubt(Part::Chain(n), message).help("clients will refuse it until then"));
    }
}

/// Each certificate is to be signed by the next.
fn doubt_chain(n: usize, chain: &[CertificateDer<'_>], doubts: &mut Vec<Flaw>) {
    for (at, pair) in chain.windows(2).enumerate() {
        let [Ok(signed), Ok(signer)] = [0, 1].map(|at| webpki::EndEntityCert::try_from(&pair[at])) else {
            doubts.push(Flaw::doubt(
                Part::Chain(n),
                format!("holds a certificate that cannot be read, number {}", at + 2),
            ));
            return;
        };
        if signed.issuer() != signer.subject() {
            let message =
                format!("is no chain: certificate {} is not signed by certificate {}", at + 1, at + 2);
            doubts.push(
                Flaw::doubt(Part::Chain(n), message)
                    .help("the server's own stands first, each next one is the signer of the one before"),
            );
            return;
        }
    }
}
