use std::time::Duration;

use proptest::prelude::*;

use super::*;

const ONE: &[u8] = b"one one one one one one one one one";
const TWO: &[u8] = b"two two two two two two two two two";
const NAMES: [&str; 3] = ["app1", "10.0.0.11:8080", "app3"];
const NOW: u64 = 1_800_000_000;
const HOUR: u64 = 3600;

fn sticky(pool: &str, secrets: &[&[u8]], ttl: Option<Duration>) -> Sticky {
    let secrets: Vec<Vec<u8>> = secrets.iter().map(|secret| secret.to_vec()).collect();
    Sticky::new((pool, "EQ_crm"), &secrets, ttl, NAMES.into_iter())
}

fn lasting() -> Sticky {
    sticky("crm", &[ONE], Some(Duration::from_secs(8 * HOUR)))
}

/// The value alone of what a client is to be given.
fn value(sticky: &Sticky, place: usize, now: u64) -> Vec<u8> {
    let field = sticky.write(place, false, now).unwrap();
    let value = field.strip_prefix("EQ_crm=").unwrap().split(';').next().unwrap();
    assert!(sticky.is_likely(value.as_bytes()));
    value.as_bytes().to_vec()
}

fn found(place: u32, renew: bool) -> Option<Found> {
    Some(Found { place, renew })
}

#[test]
fn the_field_says_how_it_is_to_be_kept() {
    let rest = |sticky: &Sticky, secure| {
        sticky.write(0, secure, NOW).unwrap().split_once("; ").unwrap().1.to_owned()
    };
    assert_eq!(rest(&lasting(), true), "Path=/; Max-Age=28800; HttpOnly; SameSite=Lax; Secure");
    assert_eq!(rest(&sticky("crm", &[ONE], None), false), "Path=/; HttpOnly; SameSite=Lax");
}

#[test]
fn every_node_reads_it_and_a_changed_list_of_backends_does_too() {
    let cookie = value(&lasting(), 1, NOW);
    assert_eq!(lasting().read(&cookie, NOW), found(1, false));
    let of = |names: &[&'static str]| {
        Sticky::new(("crm", "other"), &[ONE.to_vec()], None, names.iter().copied()).read(&cookie, NOW)
    };
    assert_eq!(of(&["app0", "app1", "app2", "10.0.0.11:8080"]), found(3, false));
    assert_eq!(of(&["app1", "app3"]), None, "gone");
}

#[test]
fn it_tells_a_client_nothing() {
    let cookies: Vec<_> = (0..3).map(|_| value(&lasting(), 1, NOW)).collect();
    assert!(cookies[0] != cookies[1] && cookies[1] != cookies[2], "not even whether two share a backend");
    let bytes: [u8; 54] = base64::decode(&cookies[0]).unwrap();
    for secret in [&mark(NAMES[1])[..4], &NOW.to_be_bytes()[4..], b"10.0"] {
        assert!(!bytes.windows(4).any(|window| window == secret));
    }
}

#[test]
fn its_time_is_kept_here_and_renewed_at_half() {
    let sticky = lasting();
    let cookie = value(&sticky, 2, NOW);
    for (age, expected) in [
        (0, found(2, false)),
        (4 * HOUR - 1, found(2, false)),
        (4 * HOUR, found(2, true)),
        (8 * HOUR, found(2, true)),
        (8 * HOUR + 1, None),
        (80_000 * HOUR, None),
    ] {
        assert_eq!(sticky.read(&cookie, NOW + age), expected, "after {age} s");
    }
    // A node whose clock is behind.
    assert_eq!(sticky.read(&cookie, NOW - 24 * HOUR), found(2, false));
    assert_eq!(sticky.read(&cookie, NOW - 24 * HOUR - 1), None);
    let session = self::sticky("crm", &[ONE], None);
    assert_eq!(session.read(&cookie, NOW + 80_000 * HOUR), found(2, false));
}

#[test]
fn another_pool_or_secret_reads_nothing() {
    let cookie = value(&lasting(), 0, NOW);
    assert_eq!(sticky("crn", &[ONE], None).read(&cookie, NOW), None);
    assert_eq!(sticky("crm", &[TWO], None).read(&cookie, NOW), None);
}

#[test]
fn two_secrets_while_one_takes_the_place_of_the_other() {
    let of = |secrets: &[&[u8]]| sticky("crm", secrets, None);
    let (old, new) = (value(&of(&[ONE]), 0, NOW), value(&of(&[TWO, ONE]), 0, NOW));
    // The new one is added second everywhere, moves to the top everywhere, stays alone.
    assert_eq!(of(&[ONE, TWO]).read(&old, NOW), found(0, false));
    assert_eq!(of(&[ONE, TWO]).read(&new, NOW), found(0, true));
    assert_eq!(of(&[TWO, ONE]).read(&old, NOW), found(0, true), "given anew under the new one");
    assert_eq!(of(&[TWO, ONE]).read(&new, NOW), found(0, false));
    assert_eq!(of(&[TWO]).read(&old, NOW), None);
    assert_eq!(of(&[TWO]).read(&new, NOW), found(0, false));
}

#[test]
fn no_bit_can_be_changed() {
    let sticky = lasting();
    let cookie = value(&sticky, 0, NOW);
    for at in 0..cookie.len() {
        for octet in (0..=255).filter(|octet| *octet != cookie[at]) {
            let mut changed = cookie.clone();
            changed[at] = octet;
            assert_eq!(sticky.read(&changed, NOW), None, "{octet} at {at}");
        }
        assert_eq!(sticky.read(&cookie[..at], NOW), None, "cut at {at}");
    }
    let longer = [&cookie[..], b"AAAA"].concat();
    assert_eq!(sticky.read(&longer, NOW), None);
}

proptest! {
    #[test]
    fn every_place_and_time_comes_back(place in 0..3usize, made in 0..1u64 << 40) {
        let sticky = sticky("crm", &[TWO, ONE], None);
        let cookie = value(&sticky, place, made);
        prop_assert_eq!(sticky.read(&cookie, NOW), found(place as u32, false));
    }

    #[test]
    fn nothing_else_is_read(text in prop_oneof!["[A-Za-z0-9_-]{72}", "\\PC{0,80}"]) {
        prop_assert_eq!(lasting().read(text.as_bytes(), NOW), None);
    }

    #[test]
    fn any_bits_changed_are_refused(flips in prop::collection::vec((0..54usize, 1..=255u8), 1..4)) {
        let sticky = lasting();
        let cookie = value(&sticky, 0, NOW);
        let whole: [u8; 54] = base64::decode(&cookie).unwrap();
        let mut changed = whole;
        flips.iter().for_each(|(at, mask)| changed[*at] ^= mask);
        prop_assume!(changed != whole);
        prop_assert_eq!(sticky.read(base64::encode(&changed).as_bytes(), NOW), None);
    }
}
