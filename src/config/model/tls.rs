//! What `[listener.tls]` and `[pool.NAME.tls]` say: the files are read, and were found usable.

use std::fmt;

/// `[listener.tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// At least one; the first serves clients that name none.
    pub certificates: Vec<CertificateFiles>,
    /// TLS 1.2 is not spoken. Default false.
    pub only_13: bool,
    /// Who signs the certificates of clients, as PEM; `None`: none is asked for.
    pub client_ca: Option<Vec<u8>>,
    /// Which of these are revoked, as PEM.
    pub client_crl: Option<Vec<u8>>,
    /// A client may have none. Default false.
    pub client_optional: bool,
    /// Backends are told of a client's certificate. Default false.
    pub client_cert_headers: bool,
    /// The keys of tickets; `None`: made at start.
    pub ticket_keys: Option<Secret>,
}

/// One element of `certificates`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, as PEM.
    pub chain: Vec<u8>,
    /// Its key, as PEM.
    pub key: Secret,
    /// A stapled response, in DER.
    pub ocsp: Option<Vec<u8>>,
}

/// `[pool.NAME.tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolTls {
    /// Who signs the backends' certificates, as PEM; `None`: the system's roots.
    pub ca: Option<Vec<u8>>,
    /// The name that is asked for; `None`: the host of the address.
    pub server_name: Option<String>,
    /// Our own certificate: chain and key, as PEM.
    pub own: Option<(Vec<u8>, Secret)>,
    /// Whether the certificate is checked. Default true.
    pub verify: bool,
}

/// The bytes of a file that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What another room finds wrong, or doubtful, with files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFlaw {
    /// Which key names the file.
    pub key: TlsKey,
    /// It can be used all the same: a warning.
    pub usable: bool,
    /// A sentence that reads on after the file's name.
    pub message: String,
    /// What to do.
    pub help: Option<&'static str>,
}

/// A key of `[listener.tls]` or `[pool.NAME.tls]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsKey {
    /// `cert`, of the n-th certificate.
    Chain(usize),
    /// `key`
    Key(usize),
    /// `ocsp`
    Ocsp(usize),
    /// `client_ca`, `ca`
    Authority,
    /// `client_crl`
    Revoked,
    /// `ticket_keys`
    Tickets,
    /// `server_name`
    Name,
}
