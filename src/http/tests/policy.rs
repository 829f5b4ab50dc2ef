//! What a listener may decide: underscores, CONNECT; and the rules that stand beside them: fields that may
//! stand once, Max-Forwards, the plain spelling of what frames.

use super::super::{Body, Decoder, HeadPolicy, Interim, Method, Step, Underscores};
use super::{emitted, emitted_response, refused, request, request_by, response, response_to, with_fields};

const CONNECTING: HeadPolicy = HeadPolicy { underscores: Underscores::Safe, allow_connect: true };

/// The field lines after Host that are left of these.
fn left(underscores: Underscores, lines: &str) -> Result<String, u16> {
    let policy = HeadPolicy { underscores, allow_connect: false };
    let head = request_by(policy, with_fields(lines)).map_err(|refusal| refusal.status)?;
    let text = emitted(&head);
    Ok(text.strip_prefix("GET / HTTP/1.1\r\nHost: a\r\n").unwrap().strip_suffix("\r\n").unwrap().to_owned())
}

#[test]
fn underscores_are_judged_as_the_listener_says() {
    let twins = "Content_Length: 5\r\nX_Forwarded_For: 1\r\nX-Forwarded_Proto: x\r\ntransfer_encoding: chunked\r\n\
                 X_Request_Id: 1\r\nHTTP2_SETTINGS: x\r\nx_Real-IP: 1\r\n_: 1\r\n";
    let others = "my_field: kept\r\nuser_agent: kept\r\n_x: kept\r\n";
    let both = format!("{twins}{others}");
    let safe = format!("_: 1\r\n{others}");
    assert_eq!(left(Underscores::Safe, &both), Ok(safe));
    assert_eq!(left(Underscores::Allow, &both), Ok(both.clone()));
    assert_eq!(left(Underscores::Drop, &format!("{both}A: 1\r\n")), Ok("A: 1\r\n".into()));
    assert_eq!(left(Underscores::Reject, "my_field: x\r\n"), Err(400));
    assert_eq!(left(Underscores::Reject, "A: x_y\r\n"), Ok("A: x_y\r\n".into()));
    assert_eq!(left(Underscores::Reject, "X-Forwarded-a_b: 1\r\n"), Err(400));
    assert_eq!(left(Underscores::Drop, "X-Forwarded-a_b: 1\r\n"), Ok(String::new()));
    let long = format!("{}_: 1\r\n", "x".repeat(60));
    assert_eq!(left(Underscores::Safe, &long), Ok(long.clone()));
    assert_eq!(left(Underscores::Drop, &long), Ok(String::new()));
}

#[test]
fn underscores_in_trailers_are_judged_the_same() {
    let wire = b"0\r\nX_Forwarded_For: 1\r\nmy_sum: 2\r\nSum: 3\r\n\r\n";
    let trailers = |underscores| {
        let mut decoder = Decoder::new(Body::Chunked);
        decoder.set_underscores(underscores);
        decoder.step(wire).map(|step| {
            assert_eq!(step, Step::Done(wire.len()));
            String::from_utf8(decoder.trailers().to_vec()).unwrap()
        })
    };
    assert_eq!(trailers(Underscores::Safe).as_deref(), Ok("my_sum: 2\r\nSum: 3\r\n"));
    let all = "X_Forwarded_For: 1\r\nmy_sum: 2\r\nSum: 3\r\n";
    assert_eq!(trailers(Underscores::Allow).as_deref(), Ok(all));
    assert_eq!(trailers(Underscores::Drop).as_deref(), Ok("Sum: 3\r\n"));
    assert!(trailers(Underscores::Reject).is_err());
}

#[test]
fn connect_needs_leave_and_an_authority_with_a_port() {
    let connect = |text: &str| request_by(CONNECTING, text).map_err(|refusal| refusal.status);
    let head = connect("CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(emitted(&head), "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n");
    assert_eq!((head.host(), head.keep_alive, head.body), (&b"b:443"[..], false, Body::None));
    assert!(connect("CONNECT [::1]:1 HTTP/1.0\r\n\r\n").is_ok());
    for (target, lines) in [
        ("b", "Host: b\r\n"),
        ("b:", "Host: b\r\n"),
        (":1", "Host: b\r\n"),
        ("b:x", "Host: b\r\n"),
        ("b:65536", "Host: b\r\n"),
        ("u@b:1", "Host: b\r\n"),
        ("/", "Host: b\r\n"),
        ("*", "Host: b\r\n"),
        ("http://b:1/", "Host: b\r\n"),
        ("[::1]", "Host: b\r\n"),
        ("b:1", ""),
        ("b:1", "Host: b\r\nContent-Length: 1\r\n"),
        ("b:1", "Host: b\r\nTransfer-Encoding: chunked\r\n"),
    ] {
        assert_eq!(
            connect(&format!("CONNECT {target} HTTP/1.1\r\n{lines}\r\n")).err(),
            Some(400),
            "{target}"
        );
    }
    let asks = "CONNECT b:1 HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    assert!(connect(asks).unwrap().upgrade.is_none());
}

#[test]
fn a_connect_that_is_granted_opens_a_tunnel() {
    let granted = response_to(
        Method::Connect,
        None,
        "HTTP/1.1 200 Established\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n",
    );
    assert!(granted.is_err(), "framing is judged all the same");
    let granted = response_to(Method::Connect, None, "HTTP/1.1 200 Established\r\nContent-Length: 5\r\n\r\n");
    let granted = granted.unwrap();
    assert_eq!((granted.interim, granted.body), (Interim::Switching, Body::None));
    assert_eq!(emitted_response(&granted), "HTTP/1.1 200 Established\r\n\r\n");
    let denied = response_to(Method::Connect, None, "HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n").unwrap();
    assert_eq!((denied.interim, denied.body), (Interim::No, Body::Length(5)));
}

#[test]
fn fields_that_may_stand_once_stand_once() {
    for name in
        ["Authorization", "Proxy-Authorization", "Content-Type", "Content-Length", "Host", "Max-Forwards"]
    {
        let line = format!("{name}: 1\r\n");
        let text = format!("OPTIONS / HTTP/1.1\r\n{}{line}", if name == "Host" { "" } else { "Host: a\r\n" });
        assert_eq!(refused(format!("{text}\r\n")), None, "{name}");
        assert_eq!(refused(format!("{text}{}\r\n", line.to_lowercase())), Some(400), "{name}");
    }
    for harmless in ["Accept", "Cookie", "User-Agent", "Via", "X-Forwarded-For", "Expect", "Connection"] {
        let lines = format!("{harmless}: 100-continue\r\n").repeat(2);
        assert_eq!(refused(with_fields(&lines)), None, "{harmless}");
    }
    assert!(response("HTTP/1.1 200 OK\r\nContent-Type: a\r\nContent-Type: b\r\n\r\n").is_ok());
}

#[test]
fn max_forwards_counts_down_on_options() {
    let options = |value: &str| {
        let head = request(format!("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards:{value}\r\n\r\n"));
        head.map_err(|refusal| refusal.status)
    };
    for (value, left) in [("1", "0"), (" 10 ", "9"), (" 007", "6"), (" 99999999999999999999", "4294967294")] {
        let head = options(value).unwrap();
        assert!(!head.ends_here, "{value}");
        assert_eq!(head.fields.by_name("max-forwards"), Some(left.as_bytes()), "{value}");
    }
    assert!(options(" 0").unwrap().ends_here);
    assert!(options(" 000").unwrap().ends_here);
    for bad in ["", " -1", " +1", " 1.0", " x", " 1, 2"] {
        assert_eq!(options(bad).err(), Some(400), "{bad}");
    }
    let get = request(with_fields("Max-Forwards: 0\r\n")).unwrap();
    assert!(!get.ends_here);
    assert_eq!(get.fields.by_name("max-forwards"), Some(&b"0"[..]));
    let mut hidden =
        request("OPTIONS / HTTP/1.1\r\nHost: a\r\nConnection: max-forwards\r\nMax-Forwards: 3\r\n\r\n")
            .unwrap();
    hidden.strip_hop_by_hop();
    assert!(emitted(&hidden).contains("Max-Forwards: 2\r\n"));
}

#[test]
fn what_frames_is_spelt_plainly() {
    let spelt = |line: &str| {
        let text = emitted(&request(with_fields(&format!("{line}\r\nA: 1\r\n"))).unwrap());
        let answer = response(format!("HTTP/1.1 200 x\r\n{line}\r\nA: 1\r\n\r\n")).unwrap();
        let line = text.split("\r\n").nth(2).unwrap().to_owned();
        assert_eq!(emitted_response(&answer), format!("HTTP/1.1 200 x\r\n{line}\r\nA: 1\r\n\r\n"));
        line
    };
    for (line, plain) in [
        ("Content-Length: 5", "Content-Length: 5"),
        ("content-length:5", "content-length: 5"),
        ("Content-Length:\t 005\t", "Content-Length: 5"),
        ("Content-Length: 0000", "Content-Length: 0"),
        ("Content-Length: 18446744073709551615", "Content-Length: 18446744073709551615"),
        ("TRANSFER-encoding: chunked", "TRANSFER-encoding: chunked"),
        ("Transfer-Encoding: CHUNKED", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding:\tchunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked ", "Transfer-Encoding: chunked"),
    ] {
        assert_eq!(spelt(line), plain);
    }
}
