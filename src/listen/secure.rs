//! The handshake of TLS, before the first byte of HTTP.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use rustls::{PeerIncompatible, ServerConfig};
use tokio::net::TcpStream;

use super::drive::Newcomer;
use crate::observe::Handshake;
use crate::wire::{Session, Stream};

/// A handshake that has begun, or a client that has not said anything.
enum Greeting {
    Silent(TcpStream),
    Begun(Box<Session>),
    Over,
}

impl Newcomer {
    /// Makes the handshake, and serves the client if it succeeds.
    pub(super) async fn secured(self, socket: TcpStream, accepted: Instant) {
        // In a box that is gone before the first request.
        if let Some(stream) = Box::pin(self.shake_hands(socket, accepted)).await {
            self.drive(stream).run(accepted).await;
        }
    }

    async fn shake_hands(&self, socket: TcpStream, accepted: Instant) -> Option<Stream> {
        let config = self.listener.tls.as_ref().and_then(|tls| tls.config.as_ref())?;
        let due = accepted + self.listener.tls_timeout;
        let mut greeting = Greeting::Silent(socket);
        let made = self.within(due, |cx| self.poll_greeting(&mut greeting, config, cx)).await;
        let result = match &made {
            Ok(session) if session.tls().handshake_kind() == Some(rustls::HandshakeKind::Resumed) => {
                Handshake::Resumed
            }
            Ok(_) => Handshake::Full,
            Err(error) => result_of(error),
        };
        self.listener.series.handshake(self.worker.index, result);
        if let Err(error) = &made {
            tracing::debug!(target: "equipoise::listen", peer = %self.origin.peer, result = result.name(), "handshake failed: {error}");
        }
        made.ok().map(Stream::Tls)
    }

    /// A client that says nothing costs no more than one in clear: the state of TLS is made when its first
    /// bytes are there.
    fn poll_greeting(
        &self,
        greeting: &mut Greeting,
        config: &Arc<ServerConfig>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Box<Session>>> {
        loop {
            match greeting {
                Greeting::Silent(socket) => ready!(socket.poll_read_ready(cx))?,
                Greeting::Begun(session) => ready!(session.poll_handshake(&self.worker.blocks, cx))?,
                Greeting::Over => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            }
            match std::mem::replace(greeting, Greeting::Over) {
                Greeting::Silent(socket) => {
                    let session =
                        Session::accept(socket, config, &self.worker.blocks).map_err(io::Error::other)?;
                    *greeting = Greeting::Begun(Box::new(session));
                }
                Greeting::Begun(session) => return Poll::Ready(Ok(session)),
                Greeting::Over => {}
            }
        }
    }
}

/// Why a handshake failed, for the metrics.
fn result_of(error: &io::Error) -> Handshake {
    if error.kind() == io::ErrorKind::TimedOut {
        return Handshake::Timeout;
    }
    match error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>()) {
        None => Handshake::Left,
        Some(rustls::Error::NoApplicationProtocol) => Handshake::NoProtocol,
        Some(rustls::Error::InvalidMessage(_)) => Handshake::NotTls,
        Some(rustls::Error::AlertReceived(_)) => Handshake::Refused,
        Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
            Handshake::ClientCertificate
        }
        Some(rustls::Error::PeerIncompatible(why)) => match why {
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::NoEcPointFormatsInCommon
            | PeerIncompatible::EcPointsExtensionRequired
            | PeerIncompatible::NamedGroupsExtensionRequired
            | PeerIncompatible::UncompressedEcPointsRequired => Handshake::NoCipher,
            _ => Handshake::NoVersion,
        },
        Some(_) => Handshake::Other,
    }
}
