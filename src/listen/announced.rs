//! The PROXY header, before the first byte of TLS or HTTP.

use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use std::{io, mem};

use tokio::net::TcpStream;

use super::drive::Newcomer;
use crate::announce::{Flaw, Header, Progress, Reader};
use crate::http::Origin;
use crate::observe::Reason;
use crate::snapshot::AcceptProxy;
use crate::wire::poll_take;

/// What a trusted peer has said of its connection.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// A header.
    Header(Header),
    /// None: it began otherwise, by bytes that were read.
    Nothing(Vec<u8>),
    /// Something that is no header.
    Garbage(Flaw),
}

impl Newcomer {
    /// Reads the header of a trusted peer, and serves the client that it names.
    pub(super) async fn announced(mut self, socket: TcpStream, accepted: Instant) {
        // In a box that is gone before the first request.
        let Some(ahead) = Box::pin(self.hear(&socket, accepted)).await else { return };
        if self.listener.tls.is_none() {
            let mut drive = self.drive(socket.into());
            drive.client.read_ahead(&ahead, &drive.worker.blocks);
            drive.run(accepted).await;
        } else if ahead.is_empty() {
            self.secured(socket, accepted).await;
        } else {
            // No record of TLS begins like a header.
            self.listener.series.handshake(self.worker.index, crate::observe::Handshake::NotTls);
        }
    }

    /// Gives the bytes that were read and belong to no header, as a rule none; `None` where the connection ends.
    async fn hear(&mut self, socket: &TcpStream, accepted: Instant) -> Option<Vec<u8>> {
        let mut reader = Reader::default();
        let due = accepted + self.listener.head_timeout;
        let heard = self.within(due, |cx| poll_header(&mut reader, socket, cx)).await;
        let refused = match heard {
            Ok(Said::Header(header)) => return self.believe(header).then(Vec::new),
            Ok(Said::Nothing(ahead)) if self.listener.accept_proxy == AcceptProxy::Optional => {
                return Some(ahead);
            }
            Ok(Said::Nothing(_)) => (Reason::ProxyMissing, "something else came".to_owned()),
            Ok(Said::Garbage(flaw)) => (Reason::ProxyInvalid, flaw.to_string()),
            // As with a head: whoever has said nothing leaves unnoticed.
            Err(error) if error.kind() != io::ErrorKind::TimedOut || reader.held().is_empty() => return None,
            Err(_) => (Reason::ClientTimeout, "not whole in time".to_owned()),
        };
        let (reason, why) = refused;
        self.listener.series.rejected(self.worker.index, reason);
        tracing::debug!(target: "equipoise::listen", peer = %self.origin.peer, reason = reason.name(), "no PROXY header: {why}");
        None
    }

    /// From now on the client is whom the header names. Says whether it may stay.
    fn believe(&mut self, header: Header) -> bool {
        let proxy = self.origin.peer;
        if let Some(addresses) = header.addresses {
            let port = match addresses.destination.port() {
                0 => self.port,
                port => port,
            };
            let trusted = self.listener.trusts(addresses.source.ip());
            self.origin = Origin::new(addresses.source, port, self.origin.secure, trusted);
            if !trusted && !self.count(addresses.source) {
                self.listener.series.rejected(self.worker.index, Reason::ConnectionLimit);
                return false;
            }
        }
        tracing::debug!(
            target: "equipoise::listen",
            peer = %self.origin.peer,
            proxy = %proxy,
            version = ?header.version,
            destination = header.addresses.map(|addresses| tracing::field::display(addresses.destination)),
            extra = %header.extra(),
            "PROXY header"
        );
        self.announced = Some(Box::new(header));
        true
    }

    /// Counts the connection for the address that it really comes from, unless that has as many as it may.
    fn count(&mut self, client: SocketAddr) -> bool {
        let max = self.listener.max_per_address;
        if max == 0 {
            return true;
        }
        self.places.1 = self.listener.per_address.take(client.ip(), max);
        self.places.1.is_some()
    }
}

/// Ready when it is known whether there is a header. Nothing that follows it is read.
fn poll_header(reader: &mut Reader, socket: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<Said>> {
    loop {
        let mut progress = Progress::Partial;
        let take = |coming: &[u8]| {
            let taken;
            (taken, progress) = reader.take(coming);
            taken
        };
        let shown = ready!(poll_take(socket, take, cx))?;
        return Poll::Ready(match progress {
            Progress::Partial if shown == 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            Progress::Partial => continue,
            Progress::Whole(header) => Ok(Said::Header(header)),
            Progress::Absent => Ok(Said::Nothing(mem::take(reader).into_held())),
            Progress::Flawed(flaw) => Ok(Said::Garbage(flaw)),
        });
    }
}
