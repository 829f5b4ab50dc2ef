//! A raw client.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::message::{Message, Wire};

/// Connects to the balancer.
pub(crate) fn connect(address: SocketAddr) -> Wire {
    Wire::new(TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap())
}

/// Sends one request on a connection of its own and reads the whole response.
pub(crate) fn once(address: SocketAddr, request: &str) -> io::Result<Message> {
    let mut wire = connect(address);
    wire.send(request)?;
    wire.response(request.split(' ').next().unwrap_or_default())
}

/// A GET on a connection of its own.
pub(crate) fn get(address: SocketAddr, target: &str) -> Message {
    once(address, &format!("GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")).unwrap()
}

impl Wire {
    /// A GET on a connection that is kept.
    pub(crate) fn get(&mut self, target: &str) -> io::Result<Message> {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"))?;
        self.response("GET")
    }

    /// Whether the peer has closed cleanly, with nothing more to say.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.ahead().is_empty() && matches!(self.fill(), Ok(0))
    }

    /// Ends the connection by a reset.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
