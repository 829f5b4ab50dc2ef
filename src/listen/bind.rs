//! Binding: one socket per worker, all on one address.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};

use crate::wire::MAX_UNSENT;

/// Connections that may wait for a worker to accept them; the kernel's own bound (somaxconn) holds too.
const BACKLOG: i32 = 4096;

/// The sockets of one bind address.
#[derive(Debug)]
pub struct Socket {
    /// The real address, the kernel's choice of port included.
    pub address: SocketAddr,
    /// One per worker.
    pub per_worker: Vec<TcpListener>,
}

/// Binds an address for so many workers. With `shares_port` sockets of this process may have the port
/// already, on an address that overlaps.
///
/// # Errors
/// The address is taken, not ours, or not allowed.
pub fn bind(address: SocketAddr, workers: usize, shares_port: bool) -> io::Result<Socket> {
    // A probe without SO_REUSEPORT: with it alone a second instance of ours, run by the same user, would
    // silently take a share of the traffic.
    if address.port() != 0 && !shares_port {
        drop(open(address, false)?);
    }
    let first = open(address, true)?;
    let address = first.local_addr()?;
    let mut per_worker = vec![first];
    while per_worker.len() < workers {
        per_worker.push(open(address, true)?);
    }
    Ok(Socket { address, per_worker })
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
        // Accepted connections inherit both: no call for each.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_notsent_lowat(MAX_UNSENT)?;
    }
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
        SockRef::from(&socket).set_nonblocking(true)?;
    }
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn accepted_connections_inherit_what_the_listening_socket_was_told() {
        let socket = bind("127.0.0.1:0".parse().unwrap(), 1, false).unwrap();
        let _client = TcpStream::connect(socket.address).unwrap();
        socket.per_worker[0].set_nonblocking(false).unwrap();
        let (accepted, _) = socket.per_worker[0].accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), MAX_UNSENT);
        assert!(accepted.tcp_nodelay().unwrap());
    }
}
