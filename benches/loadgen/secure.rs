//! TLS of a client connection, by rustls: what is offered, what was agreed on, records in and out.
//!
//! Version 1.3, one group and one suite, so that every server does the same work. Any certificate is taken, and its
//! signature is not verified: who measures servers on loopback knows them, and the time is better left to them.

use crate::options::{Group, Handshake};
use anyhow::Result;
use rustix::fd::BorrowedFd;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, NamedGroup, SignatureScheme,
};
use std::collections::VecDeque;
use std::io::{self, BufRead as _, IoSlice, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The name that is asked for.
const NAME: &str = "compare.test";
/// Tickets that are kept, the oldest one used first; a server may send several for each connection.
const MAX_TICKETS: usize = 4096;
/// Parts of one write.
const MAX_PARTS: usize = 16;

/// What every connection offers.
pub(crate) struct Terms {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    tickets: Arc<Tickets>,
}

/// TLS on one connection.
pub(crate) struct Secure {
    tls: ClientConnection,
    /// What kind of handshake it must be; `None` once that was told.
    wanted: Option<HandshakeKind>,
}

impl Terms {
    pub(crate) fn new(handshake: Handshake, group: Group) -> Result<Self> {
        let provider = Arc::new(CryptoProvider {
            // What browsers ask for first.
            cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![match group {
                Group::X25519 => kx_group::X25519,
                Group::Hybrid => kx_group::X25519MLKEM768,
            }],
            ..default_provider()
        });
        let anyone = Arc::new(Anyone(provider.signature_verification_algorithms.supported_schemes()));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(anyone)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tickets = Arc::new(Tickets::default());
        config.resumption = match handshake {
            Handshake::Full => Resumption::disabled(),
            Handshake::Resumed => Resumption::store(Arc::clone(&tickets) as _),
        };
        Ok(Self { config: Arc::new(config), name: ServerName::try_from(NAME)?, tickets })
    }

    /// The state of a new connection. It must be resumed where there is a ticket.
    pub(crate) fn begin(&self) -> Result<Secure, Error> {
        let resumes = self.tickets.any();
        let mut tls = ClientConnection::new(Arc::clone(&self.config), self.name.clone())?;
        // A request is bounded by the options, and is taken whole.
        tls.set_buffer_limit(None);
        let wanted = if resumes { HandshakeKind::Resumed } else { HandshakeKind::Full };
        Ok(Secure { tls, wanted: Some(wanted) })
    }
}

impl Secure {
    /// Takes the whole request into records; they leave by `flush`, after the handshake.
    pub(crate) fn say(&mut self, text: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(text)
    }

    /// Whether something waits for the socket.
    pub(crate) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Writes what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Outlet(socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes what the socket gave, and gives `plain` what comes out of it, piece by piece. True when the peer has
    /// said that nothing more follows.
    pub(crate) fn hear(&mut self, mut bytes: &[u8], mut plain: impl FnMut(&[u8])) -> Result<bool, String> {
        let mut ended = false;
        while !bytes.is_empty() && !ended {
            self.tls.read_tls(&mut bytes).map_err(|error| error.to_string())?;
            ended = self.tls.process_new_packets().map_err(|error| error.to_string())?.peer_has_closed();
            let mut reader = self.tls.reader();
            while let Ok(chunk @ [_, ..]) = reader.fill_buf() {
                let count = chunk.len();
                plain(chunk);
                reader.consume(count);
            }
        }
        Ok(ended)
    }

    /// What the handshake was, once: an error where it was not what it must be.
    pub(crate) fn handshake(&mut self) -> Option<Result<HandshakeKind, String>> {
        let (wanted, got) = (self.wanted.take()?, self.tls.handshake_kind());
        match got {
            Some(kind) if kind == wanted => Some(Ok(kind)),
            other => Some(Err(format!("{other:?} instead of {wanted:?}"))),
        }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Says that nothing more follows, as far as the socket takes it.
    pub(crate) fn farewell(&mut self, socket: BorrowedFd<'_>) {
        if !self.tls.is_handshaking() {
            self.tls.send_close_notify();
            let _ = self.tls.write_tls(&mut Outlet(socket));
        }
    }
}

/// The socket as rustls writes to it: several records in one call.
struct Outlet<'a>(BorrowedFd<'a>);

impl Write for Outlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let parts = &parts[..parts.len().min(MAX_PARTS)];
        match parts {
            [one] => self.write(one),
            _ => Ok(sendmsg(self.0, parts, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sessions to go on with. Rustls' own store keeps eight for each server, fewer than connections are opened at a time.
#[derive(Debug, Default)]
struct Tickets(Mutex<VecDeque<Tls13ClientSessionValue>>);

impl Tickets {
    fn any(&self) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tickets.len() == MAX_TICKETS {
            tickets.pop_front();
        }
        tickets.push_back(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Takes everyone for who they say they are.
#[derive(Debug)]
struct Anyone(Vec<SignatureScheme>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
