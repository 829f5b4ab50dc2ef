//! The backend of the siege: some of its answers are as hostile as the clients.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Bytes of an answer that nobody means to read.
const LARGE: usize = 1 << 30;

/// Bytes that the kernel takes from this backend beyond what the daemon does.
const SEND_BUFFER: u32 = 256 * 1024;

/// Serves on a thread of its own for as long as the test runs.
pub(crate) fn start() -> SocketAddr {
    let (tell, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let socket = TcpSocket::new_v4().unwrap();
            // Accepted connections inherit it. Otherwise the kernel would copy for seconds what nobody reads, and
            // those seconds would count as the daemon's.
            socket.set_send_buffer_size(SEND_BUFFER).unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let listener = socket.listen(4096).unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(serve(stream));
            }
        });
    });
    address.recv().unwrap()
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        if head.starts_with(b"GET /small ") || head.starts_with(b"GET /good ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell").await?;
        } else if head.starts_with(b"GET /large ") {
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes())
                .await?;
            let piece = vec![b'x'; 64 * 1024];
            for _ in 0..LARGE / piece.len() {
                stream.write_all(&piece).await?;
            }
        } else if head.starts_with(b"GET /flood ") {
            let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: </{}>\r\n\r\n", "x".repeat(4_000));
            loop {
                stream.write_all(hint.as_bytes()).await?;
            }
        } else {
            let mut thrown_away = [0; 16 * 1024];
            while stream.read(&mut thrown_away).await? > 0 {}
            return Ok(());
        }
    }
}
