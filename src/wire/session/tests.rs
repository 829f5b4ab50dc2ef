use std::future::poll_fn;
use std::task::Waker;

use rustls::RootCertStore;
#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs::default_provider;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::TcpListener;

use super::super::Budget;
use super::*;

const MAX: u64 = 4 << 20;

/// Both sides of one connection, after the handshake.
async fn pair(blocks: &Blocks) -> (Session, Session) {
    let own = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let provider = Arc::new(default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![own.cert.der().clone()],
            PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()).into(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let far = listener.accept().await.unwrap().0;
    let mut near = Session::connect(near, &Arc::new(client), "a.test".try_into().unwrap(), blocks).unwrap();
    let mut far = Session::accept(far, &Arc::new(server), blocks).unwrap();
    let opening = async {
        poll_fn(|cx| near.poll_handshake(blocks, cx)).await?;
        poll_fn(|cx| near.poll_flush(&mut 0, cx)).await
    };
    let (one, other) = tokio::join!(opening, poll_fn(|cx| far.poll_handshake(blocks, cx)));
    one.and(other).unwrap();
    (near, far)
}

/// Writes until nothing more is taken; gives how much was, and how much of it went.
fn fill(session: &mut Session) -> (u64, u64) {
    let (mut taken, mut wrote) = (0, 0);
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(n) = session.poll_write(&[7; MAX_SEALED], &[7; 9], Then::More, &mut wrote, &mut cx)
    {
        taken += n.unwrap() as u64;
    }
    (taken, wrote)
}

/// Lets the other side read all of `taken`.
async fn drain((near, far): (&mut Session, &mut Session), taken: u64, wrote: &mut u64, blocks: &Blocks) {
    let mut buffer = Buffer::default();
    let reading = async {
        let mut left = taken;
        while left > 0 {
            left -= poll_fn(|cx| far.poll_read(&mut buffer, blocks, cx)).await.unwrap() as u64;
            assert!(buffer.filled().iter().all(|byte| *byte == 7));
            buffer.consume(buffer.len());
            buffer.release(blocks);
        }
    };
    let (flushed, ()) = tokio::join!(poll_fn(|cx| near.poll_flush(wrote, cx)), reading);
    flushed.unwrap();
}

#[tokio::test]
async fn records_that_wait_are_of_the_budget_until_they_have_gone() {
    let blocks = Blocks::new(Budget::new(MAX, 1));
    let (mut near, mut far) = pair(&blocks).await;
    let (taken, mut wrote) = fill(&mut near);
    assert!(taken - wrote > FREE as u64, "{wrote} of {taken}");
    assert!(blocks.budget().granted() >= taken - wrote);
    drain((&mut near, &mut far), taken, &mut wrote, &blocks).await;
    assert_eq!(wrote, taken);
    blocks.tidy();
    assert_eq!(blocks.budget().granted(), 0);
}

#[tokio::test]
async fn where_the_budget_is_full_bytes_go_on_in_small_pieces() {
    let blocks = Blocks::new(Budget::new(MAX, 1));
    let (mut near, mut far) = pair(&blocks).await;
    let mut others = blocks.open_charge();
    others.resize(MAX as usize);
    let before = blocks.budget().granted();
    let (taken, mut wrote) = fill(&mut near);
    assert!(taken - wrote <= FREE as u64, "{wrote} of {taken}");
    drain((&mut near, &mut far), taken, &mut wrote, &blocks).await;
    assert_eq!((wrote, blocks.budget().granted()), (taken, before));
}

/// Bytes that wait in the kernel to be read.
async fn unread(session: &Session) -> Vec<u8> {
    session.socket().readable().await.unwrap();
    let mut bytes = vec![0; 65_536];
    let n = session.socket().peek(&mut bytes).await.unwrap();
    bytes[..n].to_vec()
}

#[tokio::test]
async fn the_last_word_of_a_handshake_goes_with_the_first_bytes() {
    let blocks = Blocks::new(Budget::new(MAX, 1));
    let (near, mut far) = pair(&blocks).await;
    // Its tickets are made, and wait; what the application said is not held for unsent.
    assert!(far.tls().wants_write() && far.is_flushed());
    let mut cx = Context::from_waker(Waker::noop());
    let mut buffer = Buffer::default();
    assert!(far.poll_read(&mut buffer, &blocks, &mut cx).is_pending());
    assert!(far.tls().wants_write(), "reading alone lets them wait");
    let mut wrote = 0;
    assert!(matches!(far.poll_write(b"answer", b"", Then::More, &mut wrote, &mut cx), Poll::Ready(Ok(6))));
    assert!(!far.tls().wants_write() && wrote == 6);
    // Both came in one piece: at least two records, whole.
    let bytes = unread(&near).await;
    let (mut at, mut records) = (0, 0);
    while at < bytes.len() {
        at += 5 + usize::from(u16::from_be_bytes([bytes[at + 3], bytes[at + 4]]));
        records += 1;
    }
    assert!(records >= 2 && at == bytes.len(), "{records} records, {at} of {} bytes", bytes.len());
}

#[tokio::test]
async fn who_waits_for_the_peer_says_the_last_word_by_flushing() {
    let blocks = Blocks::new(Budget::new(MAX, 1));
    let (near, mut far) = pair(&blocks).await;
    let mut wrote = 0;
    poll_fn(|cx| far.poll_flush(&mut wrote, cx)).await.unwrap();
    assert!(!far.tls().wants_write() && wrote == 0);
    assert!(!unread(&near).await.is_empty());
}
