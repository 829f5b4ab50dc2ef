use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use proptest::prelude::*;

use super::packet::SIGNATURE;
use super::{Addresses, Announcement, Flaw, Header, MAX_HEADER, Progress, Reader, Version, crc32c};

/// A packet with these fixed parts.
fn packet(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, block].concat()
}

fn element(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

const INET: [u8; 12] = [198, 51, 100, 7, 192, 0, 2, 1, 0xb2, 0x6e, 0x01, 0xbb];

/// What a reader makes of bytes that come all at once: how many it takes, and what they are.
fn read(bytes: &[u8]) -> (usize, Progress) {
    Reader::default().take(bytes)
}

/// The same where the header is whole and nothing follows.
fn whole(bytes: &[u8]) -> Header {
    match read(&[bytes, b"GET / HTTP/1.1\r\n"].concat()) {
        (taken, Progress::Whole(header)) if taken == bytes.len() => header,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn flaw(bytes: &[u8]) -> Flaw {
    match read(bytes).1 {
        Progress::Flawed(flaw) => flaw,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn ends(source: &str, destination: &str) -> Option<Addresses> {
    Some(Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
}

#[test]
fn lines_say_who_it_is() {
    let longest = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    let all = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
    for (line, addresses) in [
        ("PROXY TCP4 198.51.100.7 192.0.2.1 45678 443\r\n", ends("198.51.100.7:45678", "192.0.2.1:443")),
        ("PROXY TCP4 255.255.255.255 0.0.0.0 0 65535\r\n", ends("255.255.255.255:0", "0.0.0.0:65535")),
        ("PROXY TCP6 2001:db8::7 ::1 1 2\r\n", ends("[2001:db8::7]:1", "[::1]:2")),
        ("PROXY TCP6 ::ffff:198.51.100.7 ::ffff:192.0.2.1 1 2\r\n", ends("198.51.100.7:1", "192.0.2.1:2")),
        (longest, ends(all, all)),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN \u{fc}ber 1 2 3 what ever\r\n", None),
        (&format!("PROXY UNKNOWN {}\r\n", &longest[11..longest.len() - 2]), None),
    ] {
        let header = whole(line.as_bytes());
        assert_eq!((header.version, header.addresses), (Version::V1, addresses), "{line:?}");
        assert_eq!(header.extra().count(), 0);
    }
    assert_eq!(format!("PROXY UNKNOWN {}", &longest[11..]).len(), 107, "the longest there is");
}

#[test]
fn what_is_no_line_is_refused() {
    for line in [
        "PROXY TCP4 198.51.100.7 192.0.2.1 45678 443\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 45678\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 45678 443 \r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 45678 443 5\r\n",
        "PROXY TCP4  198.51.100.7 192.0.2.1 45678 443\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 +5678 443\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 05678 443\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 65536 443\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 -1 443\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1  443\r\n",
        "PROXY TCP4 198.51.100.07 192.0.2.1 1 443\r\n",
        "PROXY TCP4 198.51.100 192.0.2.1 1 443\r\n",
        "PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
        "PROXY TCP6 198.51.100.7 192.0.2.1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY tcp4 198.51.100.7 192.0.2.1 1 2\r\n",
        "PROXY UDP4 198.51.100.7 192.0.2.1 1 2\r\n",
        "PROXY TCP4\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOWN\n",
        "PROXY TCP4\t198.51.100.7 192.0.2.1 1 2\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\r\n",
        "PROXY TCP4 198.51.100.7\0 192.0.2.1 1 2\r\n",
    ] {
        assert_eq!(flaw(line.as_bytes()), Flaw::Line, "{line:?}");
    }
    assert_eq!(flaw(b"PROXY UNKNOWN \xff\r\n"), Flaw::Line);
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(1000));
    assert_eq!(read(endless.as_bytes()), (107, Progress::Flawed(Flaw::Line)), "no further than a line goes");
}

#[test]
fn packets_say_who_it_is() {
    let inet6: Vec<u8> = [Ipv6Addr::LOCALHOST.octets(), Ipv6Addr::UNSPECIFIED.octets()]
        .concat()
        .into_iter()
        .chain([0, 1, 2, 3])
        .collect();
    for (bytes, addresses) in [
        (packet(0x21, 0x11, &INET), ends("198.51.100.7:45678", "192.0.2.1:443")),
        (packet(0x21, 0x12, &INET), ends("198.51.100.7:45678", "192.0.2.1:443")),
        (packet(0x21, 0x21, &inet6), ends("[::1]:1", "[::]:515")),
        (packet(0x21, 0x22, &inet6), ends("[::1]:1", "[::]:515")),
        (packet(0x21, 0x31, &[b'/'; 216]), None),
        (packet(0x21, 0x32, &[0; 216]), None),
        (packet(0x21, 0x00, b""), None),
        (packet(0x20, 0x00, b""), None),
        (packet(0x20, 0x11, &INET), None),
        // All but the command is to be passed over.
        (packet(0x20, 0xff, b"what ever"), None),
    ] {
        let header = whole(&bytes);
        assert_eq!((header.version, header.addresses), (Version::V2, addresses), "{bytes:x?}");
    }
}

#[test]
fn what_is_no_packet_is_refused() {
    for (bytes, expected) in [
        (packet(0x11, 0x11, &INET), Flaw::Kind),
        (packet(0x31, 0x11, &INET), Flaw::Kind),
        (packet(0x22, 0x11, &INET), Flaw::Kind),
        (packet(0x21, 0x10, &INET), Flaw::Kind),
        (packet(0x21, 0x13, &INET), Flaw::Kind),
        (packet(0x21, 0x41, &INET), Flaw::Kind),
        (packet(0x21, 0x01, &INET), Flaw::Kind),
        (packet(0x21, 0x11, &INET[1..]), Flaw::Short),
        (packet(0x21, 0x21, &INET), Flaw::Short),
        (packet(0x21, 0x31, &[0; 215]), Flaw::Short),
        (packet(0x21, 0x11, &[&INET[..], &[0]].concat()), Flaw::Element),
        (packet(0x21, 0x11, &[&INET[..], &[1, 0, 2, b'h']].concat()), Flaw::Element),
        (packet(0x21, 0x00, &[4, 0xff, 0xff]), Flaw::Element),
        (packet(0x21, 0x11, &[&INET[..], &element(3, b"four")].concat()), Flaw::Checksum),
        (packet(0x21, 0x11, &[&INET[..], &element(3, b"few")].concat()), Flaw::Checksum),
        (packet(0x21, 0x11, &vec![0; MAX_HEADER - 15]), Flaw::Long),
        ([&SIGNATURE[..], &[0x20, 0, 0xff, 0xff]].concat(), Flaw::Long),
    ] {
        assert_eq!(flaw(&bytes), expected, "{bytes:x?}");
    }
    let fits = [&INET[..], &element(4, &vec![0; MAX_HEADER - 16 - INET.len() - 3])].concat();
    assert_eq!(whole(&packet(0x21, 0x11, &fits)).extra().count(), 1, "the longest that is read");
}

#[test]
fn what_else_is_said_is_kept_and_fit_for_a_log() {
    let ssl = [&[1, 0, 0, 0, 0][..], &element(0x21, b"TLSv1.3"), &element(0x22, b"a \"b\"")].concat();
    let mut block = INET.to_vec();
    block.extend(element(1, b"h2"));
    block.extend(element(2, b"crm.example\n"));
    block.extend(element(4, b"padding"));
    block.extend(element(5, &[0, 0xff]));
    block.extend(element(0xea, b"vpce-1"));
    block.extend(element(0x20, &ssl));
    block.extend(element(0x20, b"cut"));
    block.extend(element(2, &[b'x'; 1000]));
    let header = whole(&packet(0x21, 0x11, &block));
    assert_eq!(header.extra().count(), 8);
    assert_eq!(header.extra().find(|one| one.kind == 2).unwrap().value, b"crm.example\n");
    let shown = header.extra().to_string();
    let long = format!(" authority=\"{}\"", "x".repeat(128));
    assert_eq!(
        shown.strip_suffix(&long),
        Some(
            "alpn=\"h2\" authority=\"crm.example\\n\" unique_id=\"\\x00\\xff\" 0xea=\"vpce-1\" \
             ssl(version=\"TLSv1.3\" cn=\"a \\\"b\\\"\") ssl()"
        ),
        "{shown}"
    );
}

#[test]
fn a_checksum_is_of_the_whole_packet() {
    let block = [&INET[..], &element(4, b""), &element(3, &[0; 4]), &element(5, b"id")].concat();
    let mut bytes = packet(0x21, 0x11, &block);
    let sum = crc32c::of(bytes.iter()).to_be_bytes();
    let at = 16 + INET.len() + 3 + 3;
    bytes[at..at + 4].copy_from_slice(&sum);
    assert_eq!(whole(&bytes).addresses, ends("198.51.100.7:45678", "192.0.2.1:443"));
    // But for the type of the checksum itself: with another there is none.
    for changed in (16..bytes.len()).filter(|changed| *changed != at - 3) {
        let mut other = bytes.clone();
        other[changed] ^= 1;
        assert!(!matches!(read(&other).1, Progress::Whole(_)), "octet {changed} may be another");
    }
}

#[test]
fn what_begins_otherwise_is_left_to_others() {
    for (bytes, held) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], 0),
        (b"PROPFIND / HTTP/1.1\r\n\r\n", 3),
        (b"PROXYED / HTTP/1.1\r\n\r\n", 5),
        (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", 4),
        (b"\r\n\r\n\0\r\nQUIZ\n", 10),
        (b"\x16\x03\x01", 0),
        (b"\0", 0),
    ] {
        let mut reader = Reader::default();
        assert_eq!(reader.take(bytes), (held, Progress::Absent));
        assert_eq!(reader.held(), &bytes[..held], "nothing is lost");
    }
}

#[test]
fn an_odd_pair_is_written_in_one_family() {
    let (four, six) = ("198.51.100.7:1".parse().unwrap(), "[2001:db8::1]:2".parse().unwrap());
    let line = |source, destination| {
        let addresses = Addresses::new(source, destination);
        String::from_utf8(Announcement { version: Version::V1, addresses: Rc::new(addresses) }.header())
            .unwrap()
    };
    assert_eq!(line(four, six), "PROXY TCP6 ::ffff:198.51.100.7 2001:db8::1 1 2\r\n");
    assert_eq!(line(six, four), "PROXY TCP6 2001:db8::1 ::ffff:198.51.100.7 2 1\r\n");
    let addresses = Addresses::new(six, four);
    for version in [Version::V1, Version::V2] {
        assert_eq!(
            whole(&Announcement { version, addresses: Rc::new(addresses) }.header()).addresses,
            Some(addresses)
        );
    }
}

#[test]
fn our_own_connections_are_told_as_such() {
    assert_eq!(Version::V1.own_header(), b"PROXY UNKNOWN\r\n");
    assert_eq!(Version::V2.own_header(), packet(0x20, 0, b""));
    for version in [Version::V1, Version::V2] {
        let header = whole(version.own_header());
        assert_eq!((header.version, header.addresses), (version, None));
    }
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<(u32, u16)>().prop_map(|(ip, port)| SocketAddr::from((Ipv4Addr::from(ip), port)));
    let v6 = any::<(u128, u16)>().prop_map(|(ip, port)| SocketAddr::from((Ipv6Addr::from(ip), port)));
    prop_oneof![v4, v6]
}

/// Bytes that are headers often enough.
fn almost_a_header() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"PROXY ".to_vec()),
        Just(b"TCP4 ".to_vec()),
        Just(b"UNKNOWN".to_vec()),
        Just(b"1.2.3.4 1.2.3.4 1 2".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(SIGNATURE.to_vec()),
        Just(vec![0x21, 0x11, 0, 12]),
        Just(vec![0x21, 0x11, 0, 17]),
        Just(vec![0x20, 0, 0, 3]),
        Just(vec![1, 0, 2]),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read(source in address(), destination in address(), v2: bool) {
        let version = if v2 { Version::V2 } else { Version::V1 };
        let addresses = Addresses::new(source, destination);
        let bytes = Announcement { version, addresses: Rc::new(addresses) }.header();
        let header = whole(&bytes);
        prop_assert_eq!((header.version, header.addresses), (version, Some(addresses)));
    }

    /// However it is cut, it is the same, and takes the same.
    #[test]
    fn cuts_change_nothing(bytes in almost_a_header(), cuts in proptest::collection::vec(any::<usize>(), 0..6)) {
        let at_once = read(&bytes);
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([bytes.len()]).collect();
        ends.sort_unstable();
        let (mut reader, mut taken, mut progress) = (Reader::default(), 0, Progress::Partial);
        for end in ends {
            let (more, now) = reader.take(&bytes[taken..end]);
            (taken, progress) = (taken + more, now);
            if progress != Progress::Partial {
                break;
            }
        }
        prop_assert_eq!((taken, progress), at_once);
        prop_assert_eq!(reader.held(), &bytes[..taken], "what is taken is held");
        prop_assert!(taken <= MAX_HEADER);
    }
}
