use std::sync::Arc;
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use super::*;

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(&[]);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, key()).unwrap()
}

fn load(chain: &str, key: &str) -> (Result<Certificate, Flaw>, Vec<Flaw>) {
    let mut doubts = Vec::new();
    let loaded = Certificate::load(3, chain.as_bytes(), key.as_bytes(), None, &mut doubts);
    (loaded, doubts)
}

fn refused(chain: &str, key: &str) -> Flaw {
    load(chain, key).0.expect_err("it is not good")
}

#[test]
fn a_good_certificate_is_known_by_its_names_number_and_end() {
    let own = key();
    let mut wanted = params(&["Crm.test", "*.crm.test"]);
    wanted.not_after = date_time_ymd(2090, 2, 3);
    wanted.serial_number = Some(vec![0x0a, 0xbc].into());
    let cert = wanted.self_signed(&own).unwrap();
    let (loaded, doubts) = load(&cert.pem(), &own.serialize_pem());
    let loaded = loaded.unwrap();
    assert_eq!(doubts, []);
    assert_eq!(loaded.names, ["crm.test", "*.crm.test"]);
    let facts = Facts { name: "crm.test".into(), serial: "0abc".into(), not_after: 3_789_763_200 };
    assert_eq!(loaded.facts, facts);
}

#[test]
fn each_flaw_names_its_file() {
    let (own, other) = (key(), key());
    let cert = params(&["a.test"]).self_signed(&own).unwrap().pem();
    let (key, other) = (own.serialize_pem(), other.serialize_pem());
    let flaws = [
        (refused(&cert, &other), Part::Key(3), "is not the key of the certificate"),
        (refused(&key, &key), Part::Chain(3), "holds no certificate"),
        (refused(&cert, &cert), Part::Key(3), "holds no private key"),
        (refused("", &key), Part::Chain(3), "holds no certificate"),
        (refused(&cert, "x"), Part::Key(3), "holds no private key"),
        (refused(&cert.replace("MII", "M!I"), &key), Part::Chain(3), "is no valid PEM"),
        (refused(&cert, &key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")), Part::Key(3), "encrypted"),
        (refused(&cert, &format!("Proc-Type: 4,ENCRYPTED\n{key}")), Part::Key(3), "encrypted"),
    ];
    for (flaw, part, message) in flaws {
        assert!(
            flaw.part == part && flaw.message.contains(message) && flaw.help.is_some()
                || message.contains("valid PEM"),
            "{flaw:?}"
        );
        assert!(!flaw.usable);
    }
}

#[test]
fn a_chain_in_the_wrong_order_and_wrong_dates_are_doubtful() {
    let (root, stranger, own) = (authority("root"), authority("stranger"), key());
    let mut wanted = params(&["a.test"]);
    wanted.not_after = date_time_ymd(2020, 1, 1);
    let cert = wanted.signed_by(&own, &root).unwrap().pem();
    let (_, doubts) = load(&format!("{cert}{}", root.pem()), &own.serialize_pem());
    assert!(matches!(&doubts[..], [one] if one.usable && one.message.contains("expired")), "{doubts:?}");
    let (_, doubts) = load(&format!("{cert}{}", stranger.pem()), &own.serialize_pem());
    assert!(doubts.iter().any(|one| one.message.contains("is no chain")), "{doubts:?}");
    let flaw = refused(&format!("{}{cert}", root.pem()), &own.serialize_pem());
    assert!(flaw.help.unwrap().contains("later certificate"), "{flaw:?}");
    let mut later = params(&["a.test"]);
    later.not_before = date_time_ymd(2090, 1, 1);
    later.not_after = date_time_ymd(2091, 1, 1);
    let (_, doubts) = load(&later.signed_by(&own, &root).unwrap().pem(), &own.serialize_pem());
    assert!(matches!(&doubts[..], [one] if one.message.contains("valid only in")), "{doubts:?}");
}

#[test]
fn a_staple_must_be_an_answer() {
    let own = key();
    let cert = params(&["a.test"]).self_signed(&own).unwrap().pem();
    let load = |staple: &[u8]| {
        Certificate::load(0, cert.as_bytes(), own.serialize_pem().as_bytes(), Some(staple), &mut Vec::new())
    };
    let loaded = load(b"\x30\x03\x0a\x01\x00").unwrap();
    assert_eq!(loaded.key.ocsp.as_deref(), Some(&b"\x30\x03\x0a\x01\x00"[..]));
    for bad in [&b"\x30\x03\x0a\x01\x06"[..], b"-----BEGIN", b""] {
        assert_eq!(load(bad).expect_err("no answer").part, Part::Ocsp(0));
    }
}

#[test]
fn files_of_authorities_and_revocations_are_looked_into() {
    let own = key();
    let cert = params(&["a.test"]).self_signed(&own).unwrap().pem();
    let (certificate, _) = load(&cert, &own.serialize_pem());
    let certificates = [certificate.unwrap()];
    let tickets = TicketKeys::random(Instant::now());
    let build = |client_ca: Option<&[u8]>, client_crl: Option<&[u8]>| {
        let files = ServerFiles { client_ca, client_crl, ..ServerFiles::default() };
        server_config(&certificates, files, &tickets, &[b"http/1.1"])
    };
    let root = authority("root").pem();
    assert!(build(Some(root.as_bytes()), None).is_ok());
    assert_eq!(build(Some(b"none"), None).expect_err("no authority").part, Part::Authority);
    let no_list = build(Some(root.as_bytes()), Some(root.as_bytes())).expect_err("no list");
    assert_eq!(no_list.part, Part::Revoked);
    let plain = build(None, None).unwrap();
    assert_eq!(plain.max_early_data_size, 0);
    assert!(plain.ticketer.enabled() && Arc::strong_count(&tickets) > 1);
}

#[test]
fn a_backend_is_asked_for_by_its_host_unless_a_name_is_given() {
    let name = |given, address| server_name(given, address).map(|name| name.to_str().into_owned());
    assert_eq!(name(None, "app.internal:8443").unwrap(), "app.internal");
    assert_eq!(name(None, "10.0.0.1:8443").unwrap(), "10.0.0.1");
    assert_eq!(name(None, "[::1]:8443").unwrap(), "::1");
    assert_eq!(name(Some("crm.internal"), "10.0.0.1:8443").unwrap(), "crm.internal");
    assert_eq!(name(Some("not a name"), "10.0.0.1:8443").expect_err("no name").part, Part::Name);
}
