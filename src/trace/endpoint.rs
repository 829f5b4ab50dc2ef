//! Where spans go.

use std::fmt;

use hyper::header::{HeaderName, HeaderValue};

use crate::tls::{Authority, ClientFiles, Flaw, Secure, client_config, server_name};

/// Where OTLP is taken, below the base that is configured.
const PATH: &str = "/v1/traces";
/// What is offered inside of TLS.
const OFFERED: &[&[u8]] = &[b"http/1.1"];

/// A collector: `http://` or `https://`, host and port, and a path below which `/v1/traces` stands. Two are equal where the
/// one may go on in the place of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    /// Host and port, as they stand in Host.
    authority: String,
    path: String,
    /// Who signs its certificate, as PEM; `None`: the roots of the system.
    ca: Option<Vec<u8>>,
    own: Option<Own>,
    /// What else is said with each post. The values are marked so that they are never shown.
    fields: Vec<(HeaderName, HeaderValue)>,
}

/// What is given beside the URL of a collector.
#[derive(Default)]
pub struct Given<'a> {
    /// Who signs its certificate, as PEM; `None`: the roots of the system.
    pub ca: Option<&'a [u8]>,
    /// The certificate that it is shown if it asks, and its key, as PEM.
    pub own: Option<(&'a [u8], &'a [u8])>,
    /// Names and values of fields that go with each post.
    pub fields: Vec<(&'a str, &'a [u8])>,
}

/// What we prove ourselves by.
#[derive(Clone, PartialEq, Eq)]
struct Own {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own(…)") // a key is never shown
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn begin(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }

    /// OTLP's own in clear; what everybody means by `https://` where they name none.
    fn port(self) -> u16 {
        match self {
            Self::Http => 4318,
            Self::Https => 443,
        }
    }
}

/// Why a URL names no collector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// It begins with neither.
    #[error("not a URL that begins with http:// or https://")]
    Scheme,
    /// There is no host, or what is there is none.
    #[error("no host and port")]
    Authority,
    /// A query, a fragment, or octets that no path has.
    #[error("no path")]
    Path,
    /// Whatever it is.
    #[error("this build exports no spans: it was made without the cargo feature otlp")]
    Absent,
    /// A field that cannot be sent.
    #[error("a field that cannot be sent")]
    Field,
}

impl Endpoint {
    /// Reads a URL. A port that is missing is 4318, with `https://` 443. Of what is `given`, the files of TLS count
    /// where that is spoken.
    ///
    /// # Errors
    /// It is none that a collector can have.
    pub fn read(url: &str, given: &Given<'_>) -> Result<Self, BadEndpoint> {
        if cfg!(not(feature = "otlp")) {
            return Err(BadEndpoint::Absent);
        }
        let schemes = [Scheme::Http, Scheme::Https].into_iter();
        let (scheme, rest) = schemes
            .filter_map(|scheme| Some((scheme, url.strip_prefix(scheme.begin())?)))
            .next()
            .ok_or(BadEndpoint::Scheme)?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let bare = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = match bare {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let is_host = !host.is_empty()
            && host.bytes().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_') || bare.is_some() && b == b':'
            });
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if !is_host || !is_port || bare.is_some_and(|(_, rest)| !rest.is_empty() && port.is_none()) {
            return Err(BadEndpoint::Authority);
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) {
            return Err(BadEndpoint::Path);
        }
        let authority =
            if port.is_some() { authority.to_owned() } else { format!("{authority}:{}", scheme.port()) };
        let secure = scheme == Scheme::Https;
        let ca = given.ca.filter(|_| secure).map(<[u8]>::to_vec);
        let own =
            given.own.filter(|_| secure).map(|(chain, key)| Own { chain: chain.into(), key: key.into() });
        let fields = given.fields.iter().map(field).collect::<Option<_>>().ok_or(BadEndpoint::Field)?;
        let path = format!("{}{PATH}", path.trim_end_matches('/'));
        Ok(Self { scheme, authority, path, ca, own, fields })
    }

    /// How TLS is spoken to it; `None`: it is not. Reads the system's roots where no others are given. What is usable and
    /// yet doubtful goes to `doubts`.
    ///
    /// # Errors
    /// The certificates cannot be used, or its host is no name that one can hold.
    pub fn secure(&self, doubts: &mut Vec<Flaw>) -> Result<Option<Secure>, Flaw> {
        if self.scheme == Scheme::Http {
            return Ok(None);
        }
        let authority = self.ca.as_deref().map_or(Authority::System, Authority::File);
        let own = self.own.as_ref().map(|own| (&own.chain[..], &own.key[..]));
        let config = client_config(ClientFiles { authority, own }, OFFERED, doubts)?;
        Ok(Some(Secure { config, name: server_name(None, &self.authority)? }))
    }

    /// Host and port.
    #[cfg(feature = "otlp")]
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// What else is said with each post.
    #[cfg(feature = "otlp")]
    pub(super) fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        &self.fields
    }

    /// The path to which batches go.
    #[cfg(feature = "otlp")]
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The URL to which batches go.
    #[cfg(feature = "otlp")]
    pub(super) fn url(&self) -> String {
        format!("{}{}{}", self.scheme.begin(), self.authority, self.path)
    }
}

/// A field as it is sent.
fn field((name, value): &(&str, &[u8])) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(all(test, feature = "otlp"))]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn urls_of_collectors_are_read() {
        for (url, whole) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://collector", "http://collector:4318/v1/traces"),
            ("http://collector.internal:80/", "http://collector.internal:80/v1/traces"),
            ("http://[::1]:4318/otlp/", "http://[::1]:4318/otlp/v1/traces"),
            ("http://[::1]", "http://[::1]:4318/v1/traces"),
            ("https://collector", "https://collector:443/v1/traces"),
            ("https://[::1]:4318/otlp", "https://[::1]:4318/otlp/v1/traces"),
        ] {
            assert_eq!(Endpoint::read(url, &Given::default()).unwrap().url(), whole);
        }
        for (url, why) in [
            ("ftp://collector:4318", BadEndpoint::Scheme),
            ("collector:4318", BadEndpoint::Scheme),
            ("http://", BadEndpoint::Authority),
            ("https://", BadEndpoint::Authority),
            ("http://:4318", BadEndpoint::Authority),
            ("http://a:b", BadEndpoint::Authority),
            ("http://a:0", BadEndpoint::Authority),
            ("http://a b:1", BadEndpoint::Authority),
            ("http://user:pass@host:1", BadEndpoint::Authority),
            ("http://[::1]4318", BadEndpoint::Authority),
            ("http://::1:4318", BadEndpoint::Authority),
            ("http://a:1/x?y=1", BadEndpoint::Path),
            ("http://a:1/x y", BadEndpoint::Path),
        ] {
            assert_eq!(Endpoint::read(url, &Given::default()), Err(why), "{url}");
        }
    }

    #[test]
    fn tls_asks_for_the_host_and_believes_only_what_it_is_given() {
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
        let pem = Some(pem.as_bytes());
        let read = |url: &str, ca| Endpoint::read(url, &Given { ca, ..Given::default() }).unwrap();
        let secure = |url: &str| read(url, pem).secure(&mut Vec::new()).unwrap();
        assert!(secure("http://collector").is_none());
        let name = secure("https://collector.internal:4318/otlp").unwrap().name;
        assert_eq!(name, ServerName::try_from("collector.internal").unwrap());
        assert!(matches!(secure("https://[::1]").unwrap().name, ServerName::IpAddress(_)));
        assert!(read("https://a", Some(b"no PEM")).secure(&mut Vec::new()).is_err());
        // Other roots are another endpoint; where no TLS is spoken there are none.
        assert_ne!(read("https://a", pem), read("https://a", None));
        assert_eq!(read("http://a", pem), read("http://a", None));
    }

    #[test]
    fn what_goes_with_a_post_is_shown_nowhere_and_makes_it_another_place() {
        let read = |value: &'static str| {
            let fields = vec![("x-key", value.as_bytes())];
            Endpoint::read("https://a", &Given { ca: None, own: Some((b"chain", b"secret")), fields })
                .unwrap()
        };
        let shown = format!("{:?}", read("s3cret"));
        assert!(
            shown.contains("x-key") && !shown.contains("s3cret") && !shown.contains("115, 101"),
            "{shown}"
        );
        assert_ne!(read("s3cret"), read("other"));
        let given = Given { fields: vec![("x-key", b"a\r\nb: c")], ..Given::default() };
        assert_eq!(Endpoint::read("http://a", &given), Err(BadEndpoint::Field));
    }
}
