//! One cookie among others: taken out of what a client sends, kept out of what a backend sets.

use super::{Field, Fields, read};
use crate::http::Known;

impl Fields {
    /// Takes the cookies of one name out of Cookie, and gives each value to `taken`. The others stay byte for
    /// byte; a field in which none is left goes. Every octet is looked at a fixed number of times.
    pub fn take_cookie(&mut self, name: &[u8], mut taken: impl FnMut(&[u8])) {
        if !self.kinds.has(Known::Cookie) {
            return;
        }
        for at in 0..self.list.len() {
            let field = self.list[at];
            if !field.live || field.known != Known::Cookie {
                continue;
            }
            let value = read(&self.bytes, &field).value;
            if memchr::memmem::find(value, name).is_none() {
                continue; // so it is with most: nothing is copied
            }
            match without(value, name, &mut taken) {
                None => {}
                Some(left) if left.iter().all(|octet| b"; \t".contains(octet)) => self.list[at].live = false,
                Some(left) => self.spell(at, left.trim_ascii()),
            }
        }
    }

    /// Removes every Set-Cookie for the cookie of one name.
    pub fn remove_set_cookie(&mut self, name: &[u8]) {
        let Self { bytes, list, .. } = self;
        let sets_it = |field: &Field| {
            let line = read(bytes, field);
            line.name.eq_ignore_ascii_case(b"set-cookie")
                && line
                    .value
                    .split(|octet| *octet == b';')
                    .next()
                    .is_some_and(|pair| of(pair, name).is_some())
        };
        for field in list.iter_mut().filter(|field| field.known == Known::Other) {
            field.live &= !sets_it(field);
        }
    }
}

/// What is left of a Cookie field without the cookies of one name; `None` where it holds none of them.
fn without(value: &[u8], name: &[u8], taken: &mut impl FnMut(&[u8])) -> Option<Vec<u8>> {
    let (mut left, mut others, mut found) = (Vec::with_capacity(value.len()), 0, false);
    for pair in value.split(|octet| *octet == b';') {
        if let Some(value) = of(pair, name) {
            found = true;
            taken(value);
            continue;
        }
        if others > 0 {
            left.push(b';');
        }
        left.extend_from_slice(pair);
        others += 1;
    }
    found.then_some(left)
}

/// The value of a pair of this name. Servers trim the name, and take a word alone for a cookie without a value.
fn of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
    let value = pair.get(end + 1..).unwrap_or_default();
    (pair[..end].trim_ascii() == name).then(|| value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::{HeadLimits, HeadPolicy, RequestHead};

    fn request(lines: &[String]) -> RequestHead {
        let mut head = RequestHead::new();
        let fields: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        head.parse(text.as_bytes(), HeadLimits { max_size: 1 << 20, max_fields: 128 }, HeadPolicy::default())
            .unwrap();
        head
    }

    /// The lines that are left, and what was taken.
    fn taken(lines: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut head = request(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
        let mut values = Vec::new();
        head.fields.take_cookie(b"EQ", |value| values.push(String::from_utf8(value.to_vec()).unwrap()));
        let mut out = Vec::new();
        head.emit(&mut out);
        let text = String::from_utf8(out).unwrap();
        (text.trim_end().split("\r\n").skip(2).map(str::to_owned).collect(), values)
    }

    #[test]
    fn the_others_stay_as_they_were() {
        for (before, after, values) in [
            ("Cookie: a=1; EQ=x; b=2", Some("Cookie: a=1; b=2"), "x"),
            ("cookie:EQ=x; a=\"1 2\";b", Some("cookie: a=\"1 2\";b"), "x"),
            ("Cookie: a=1;EQ=x", Some("Cookie: a=1"), "x"),
            ("Cookie: EQ=x", None, "x"),
            ("Cookie: EQ=x;", None, "x"),
            ("Cookie: EQ=x; EQ=y", None, "x y"),
            ("Cookie:  EQ =x ;a=1", Some("Cookie: a=1"), "x"),
            ("Cookie: EQ; a==EQ=2", Some("Cookie: a==EQ=2"), ""),
            ("Cookie: EQ=a=b; c", Some("Cookie: c"), "a=b"),
            // Not ours: untouched, odd spelling included.
            ("COOKIE:\t XEQ=1 ;  EQX=2;; eq=3", Some("COOKIE:\t XEQ=1 ;  EQX=2;; eq=3"), "-"),
            ("Cookie: a=EQ=1", Some("Cookie: a=EQ=1"), "-"),
            ("X-Cookie: EQ=1", Some("X-Cookie: EQ=1"), "-"),
        ] {
            let (lines, taken) = taken(&[before]);
            assert_eq!(lines.first().map(String::as_str), after, "{before}");
            let taken = if taken.is_empty() { "-".to_owned() } else { taken.join(" ") };
            assert_eq!(taken, values, "{before}");
        }
        let (lines, values) = taken(&["Cookie: EQ=x", "A: 1", "Cookie: b=2; EQ=y", "B: 2", "Cookie: c=3"]);
        assert_eq!(lines, ["A: 1", "Cookie: b=2", "B: 2", "Cookie: c=3"]);
        assert_eq!(values, ["x", "y"], "the first comes first");
    }

    #[test]
    fn what_a_backend_sets_of_the_same_name_goes() {
        let lines = ["Set-Cookie: EQ=1; Path=/", "set-cookie: EQX=2", "Set-Cookie: s=EQ=; a", "A: EQ=1"];
        let mut head = request(&lines.map(str::to_owned));
        head.fields.remove_set_cookie(b"EQ");
        let left: Vec<_> = head.fields.iter().skip(1).map(|field| field.value.to_vec()).collect();
        assert_eq!(left, [&b"EQX=2"[..], b"s=EQ=; a", b"EQ=1"]);
    }

    proptest! {
        /// As if it had been done the slow way: split, filter, join.
        #[test]
        fn no_other_cookie_is_lost_or_changed(
            pairs in prop::collection::vec("(EQ|EQX|a|b)?=?[a-z0-9=\"]{0,6}", 1..40),
        ) {
            let mut head = request(&[format!("Cookie: {}", pairs.join("; "))]);
            let mut count = 0;
            head.fields.take_cookie(b"EQ", |_| count += 1);
            let is_ours = |pair: &&String| pair.split('=').next() == Some("EQ");
            prop_assert_eq!(count, pairs.iter().filter(is_ours).count());
            let others: Vec<_> = pairs.iter().filter(|pair| !is_ours(pair) && !pair.is_empty()).collect();
            let left = head.fields.first(Known::Cookie).unwrap_or_default();
            let left: Vec<_> = left.split(|octet| *octet == b';').map(|pair| pair.trim_ascii().to_vec()).collect();
            let left: Vec<_> = left.into_iter().filter(|pair| !pair.is_empty()).collect();
            prop_assert_eq!(left, others.into_iter().map(|pair| pair.as_bytes().to_vec()).collect::<Vec<_>>());
        }
    }
}
