//! The same over TLS, against rustls as a server.

use super::*;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::ProducesTickets;
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

/// A server that takes TLS with these tickets, if any.
fn config(tickets: Option<Arc<dyn ProducesTickets>>) -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["compare.test".to_owned()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    if let Some(tickets) = tickets {
        config.ticketer = tickets;
    }
    Arc::new(config)
}

type Wire = StreamOwned<ServerConnection, TcpStream>;

fn accept(config: &Arc<ServerConfig>, stream: TcpStream) -> Wire {
    StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream)
}

/// Answers until the client ends the connection; gives the last read's outcome.
fn serve(wire: &mut Wire) -> std::io::Result<usize> {
    let mut seen = Vec::new();
    let mut byte = [0];
    loop {
        let read = wire.read(&mut byte)?;
        if read == 0 {
            return Ok(0);
        }
        seen.push(byte[0]);
        if seen.ends_with(b"\r\n\r\n") {
            seen.clear();
            wire.write_all(ANSWER)?;
        }
    }
}

#[test]
fn each_connection_shakes_hands_in_full_and_ends_with_a_farewell() {
    let (told_end, ends) = mpsc::channel();
    let config = config(Some(Ticketer::new().unwrap()));
    let address = server(move |_, stream| {
        let mut wire = accept(&config, stream);
        let end = serve(&mut wire).map_err(|error| error.to_string());
        told_end.send((wire.conn.handshake_kind(), end)).unwrap();
    });
    let told = measure(address, "--tls full each --connections 3 --requests 20");
    assert_eq!((&told["requests"], &told["failed"]), (&json!(20), &json!(0)), "{told}");
    assert_eq!((&told["handshakes"], &told["resumed"]), (&json!(20), &json!(0)), "{told}");
    for _ in 0..20 {
        let end = ends.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(end, (Some(HandshakeKind::Full), Ok(0)));
    }
}

#[test]
fn sessions_go_on_and_kept_connections_shake_hands_once() {
    let config = config(Some(Ticketer::new().unwrap()));
    let address = server(move |_, stream| {
        let _ = serve(&mut accept(&config, stream));
    });
    let told = measure(address, "--tls resumed each --connections 1 --requests 20");
    assert_eq!((&told["requests"], &told["failed"]), (&json!(20), &json!(0)), "{told}");
    assert_eq!((&told["handshakes"], &told["resumed"]), (&json!(20), &json!(19)), "{told}");

    let told = measure(address, "--tls full --group hybrid kept --connections 3 --requests 100");
    assert_eq!((&told["requests"], &told["failed"]), (&json!(100), &json!(0)), "{told}");
    assert_eq!((&told["handshakes"], &told["resumed"]), (&json!(3), &json!(0)), "{told}");
}

#[test]
fn a_session_that_does_not_go_on_is_a_failure() {
    // Each connection has keys of its own: what one sealed no other opens.
    let address = server(|_, stream| {
        let _ = serve(&mut accept(&config(Some(Ticketer::new().unwrap())), stream));
    });
    let told = measure(address, "--tls resumed each --connections 1 --requests 5");
    assert_eq!((&told["requests"], &told["errors"]["tls"]), (&json!(1), &json!(4)), "{told}");
}

#[test]
fn a_large_request_is_sent_whole_and_an_answer_may_be_cut_by_nobody() {
    let config = config(None);
    let address = server(move |number, stream| {
        let mut wire = accept(&config, stream);
        let mut seen = 0;
        let mut bytes = vec![0; 65_536];
        while seen < 3_000_000 {
            match wire.read(&mut bytes) {
                Ok(count @ 1..) => seen += count,
                _ => return,
            }
        }
        let endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok";
        wire.write_all(endless).unwrap();
        if number > 0 {
            wire.conn.send_close_notify();
            wire.flush().unwrap();
        }
    });
    let told = measure(address, "--post 3000000 --tls full kept --connections 1 --requests 2");
    // The first has no end that could be trusted.
    assert_eq!((&told["requests"], &told["errors"]["closed"]), (&json!(1), &json!(1)), "{told}");
}

#[test]
fn what_is_no_tls_is_told() {
    let address = server(|_, mut stream| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0; 1024]);
    });
    let told = measure(address, "--tls full each --connections 1 --requests 2");
    assert_eq!((&told["requests"], &told["errors"]["tls"]), (&json!(0), &json!(2)), "{told}");
}
