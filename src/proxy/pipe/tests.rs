//! The kernel's way, where the sink is slower than the source.

use std::task::Waker;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::*;

/// Two ends of a connection that holds about so much that the second has not read.
async fn pair(holds: u32) -> (TcpStream, TcpStream) {
    let listener = TcpSocket::new_v4().unwrap();
    listener.set_recv_buffer_size(holds).unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(1).unwrap();
    let near = TcpSocket::new_v4().unwrap();
    near.set_send_buffer_size(holds).unwrap();
    let near = near.connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// The decoder has seen the end of the body long before the sink has.
#[tokio::test]
async fn a_body_ends_when_it_is_written_not_when_it_is_read() {
    let body: Vec<u8> = (0..SPLICE_FROM as usize + 77).map(|at| (at % 251) as u8).collect();
    let ((mut sender, source), (sink, mut receiver)) = (pair(1024 * 1024).await, pair(4096).await);
    sender.write_all(&body).await.unwrap();
    // One read is to take it all.
    let mut peeked = vec![0; body.len()];
    while source.peek(&mut peeked).await.unwrap() < body.len() {
        tokio::task::yield_now().await;
    }
    let (mut buffer, mut out, blocks) = (Buffer::default(), Outgoing::default(), Blocks::default());
    let (mut source, mut sink) = (Stream::from(source), Stream::from(sink));
    let (mut read, mut wrote) = (0, 0);
    let mut pipe =
        Pipe::new(Body::Length(body.len() as u64), Body::Length(body.len() as u64), 0, Replay::Gone);
    let mut poll = |pipe: &mut Pipe| {
        let mut ends = Ends {
            source: &mut source,
            buffer: &mut buffer,
            sink: &mut sink,
            out: &mut out,
            blocks: &blocks,
            read: &mut read,
            wrote: &mut wrote,
        };
        pipe.poll(&mut ends, &mut Context::from_waker(Waker::noop()))
    };
    let held = |pipe: &Pipe| pipe.conduit.as_ref().map_or(0, Conduit::held);
    for _ in 0..1_000 {
        assert!(poll(&mut pipe).is_pending());
        tokio::time::sleep(Duration::from_millis(1)).await; // lets the kernel's events be read
        if pipe.decoder.raw_ahead() == 0 {
            break;
        }
    }
    assert!(poll(&mut pipe).is_pending(), "the sink has not taken all");
    assert!(held(&pipe) > 0, "nothing was thrown away");
    let mut received = vec![0; body.len()];
    let receiving = receiver.read_exact(&mut received);
    let passing = async {
        while poll(&mut pipe).is_pending() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let both = async { tokio::join!(receiving, passing) };
    let (all, ()) = tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
    all.unwrap();
    assert!(received == body);
    assert_eq!((read, wrote), (body.len() as u64, body.len() as u64));
}
