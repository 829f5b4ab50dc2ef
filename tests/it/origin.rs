//! Backends: a thread per connection that follows a script.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::message::{Head, Message, PATIENCE, Wire};

/// Requests that are remembered; all are counted.
const MAX_REMEMBERED: usize = 4096;

/// A backend; ends when dropped.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    garbage: AtomicBool,
    requests: AtomicU64,
    connections: AtomicU64,
    in_flight: AtomicU64,
    most_in_flight: AtomicU64,
    remembered: Mutex<Vec<Message>>,
    /// A second hold on each connection, so that the end of the backend ends it.
    streams: Mutex<HashMap<u64, TcpStream>>,
}

/// One connection, in the hands of a script.
pub(crate) struct Visit {
    pub(crate) wire: Wire,
    /// How many connections came before it.
    pub(crate) number: u64,
    shared: Arc<Shared>,
    busy: bool,
}

impl Origin {
    /// Runs `script` for every connection.
    pub(crate) fn new(script: impl Fn(&mut Visit) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), script)
    }

    /// The same at a given address.
    pub(crate) fn at(
        address: SocketAddr,
        script: impl Fn(&mut Visit) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (accepting, script) = (Arc::clone(&shared), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (shared, script) = (Arc::clone(&accepting), Arc::clone(&script));
                let mut visit = Visit::new(stream, shared);
                std::thread::spawn(move || {
                    let _ = script(&mut visit);
                });
            }
        });
        Self { address, shared }
    }

    /// Runs `script` for every connection, over TLS.
    pub(crate) fn secured(
        config: Arc<rustls::ServerConfig>,
        script: impl Fn(&mut Visit) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::new(move |visit| {
            let tls = rustls::ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            visit.wire.tls = Some(Box::new(tls.into()));
            visit.wire.shake_hands()?;
            let served = script(visit);
            if served.is_ok() {
                visit.wire.close_notify();
            }
            served
        })
    }

    /// Answers every request with 200 and `body`.
    pub(crate) fn answering(body: &'static str) -> Self {
        Self::answering_at(SocketAddr::from(([127, 0, 0, 1], 0)), body)
    }

    /// The same at a given address.
    pub(crate) fn answering_at(address: SocketAddr, body: &'static str) -> Self {
        Self::at(address, move |visit| {
            while visit.request()?.is_some() {
                visit.answer(200, body)?;
            }
            Ok(())
        })
    }

    /// Answers «/held» when the gate is open, all else at once.
    pub(crate) fn holding(gate: &Gate) -> Self {
        let gate = gate.clone();
        Self::new(move |visit| {
            while let Some(request) = visit.request()? {
                if request.head.target() == "/held" {
                    gate.pass();
                }
                visit.answer(200, "well")?;
            }
            Ok(())
        })
    }

    /// From now on every request, health checks among them, is answered with what is no HTTP.
    pub(crate) fn talk_garbage(&self, garbage: bool) {
        self.shared.garbage.store(garbage, Ordering::SeqCst);
    }

    /// Requests that arrived whole, health checks not among them.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Connections that were accepted.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The most requests between arrival and answer at one time.
    pub(crate) fn most_in_flight(&self) -> u64 {
        self.shared.most_in_flight.load(Ordering::SeqCst)
    }

    /// Requests being served now.
    pub(crate) fn in_flight(&self) -> u64 {
        self.shared.in_flight.load(Ordering::SeqCst)
    }

    /// The requests that arrived, in order.
    pub(crate) fn arrived(&self) -> Vec<Message> {
        self.shared.remembered.lock().unwrap().clone()
    }

    /// The last request that arrived.
    pub(crate) fn last(&self) -> Head {
        self.arrived().last().expect("nothing arrived").head.clone()
    }
}

impl Drop for Origin {
    /// Closes the port, then every connection.
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then closes its socket.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        for stream in self.shared.streams.lock().unwrap().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Visit {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.streams.lock().unwrap().insert(number, stream.try_clone().unwrap());
        Self { wire: Wire::new(stream), number, shared, busy: false }
    }

    /// The next request, whole; `None` at the end. Health checks are answered on the way.
    pub(crate) fn request(&mut self) -> io::Result<Option<Message>> {
        loop {
            let Some(message) = self.wire.request()? else { return Ok(None) };
            if self.shared.garbage.load(Ordering::SeqCst) {
                self.wire.send("\x15\x03\x01 this is not HTTP\r\n\r\n")?;
                return Ok(None);
            }
            if message.head.target() != "/healthz" {
                self.arrived(message.clone());
                return Ok(Some(message));
            }
            self.wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        }
    }

    /// The next head alone: its body is still to come.
    pub(crate) fn head(&mut self) -> io::Result<Option<Head>> {
        let head = self.wire.head()?;
        if let Some(head) = &head {
            self.arrived(Message { head: head.clone(), ..Message::default() });
        }
        Ok(head)
    }

    /// Sends a whole response.
    pub(crate) fn answer(&mut self, status: u16, body: &str) -> io::Result<()> {
        let response = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        self.done();
        self.wire.send(response)
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.send(bytes)
    }

    /// The request is served.
    pub(crate) fn done(&mut self) {
        if std::mem::take(&mut self.busy) {
            self.shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Ends the connection by a reset, whatever is unread.
    pub(crate) fn reset(&mut self) -> io::Result<()> {
        socket2::SockRef::from(&self.wire.stream).set_linger(Some(Duration::ZERO))?;
        Err(io::ErrorKind::ConnectionReset.into())
    }

    fn arrived(&mut self, message: Message) {
        self.done();
        self.busy = true;
        self.shared.requests.fetch_add(1, Ordering::SeqCst);
        let now = self.shared.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.shared.most_in_flight.fetch_max(now, Ordering::SeqCst);
        let mut remembered = self.shared.remembered.lock().unwrap();
        if remembered.len() < MAX_REMEMBERED {
            remembered.push(message);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.done();
        self.shared.streams.lock().unwrap().remove(&self.number);
    }
}

/// Holds scripts back until it is opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets everybody pass from now on.
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open; fails after a while.
    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let (_open, late) = self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
        assert!(!late.timed_out(), "nobody opened the gate");
    }
}

/// An address where nobody listens, and nobody will while this process lives: the port is taken.
pub(crate) fn nowhere() -> SocketAddr {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}
