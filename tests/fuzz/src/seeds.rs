//! The cases of `tests/data/http/` as seeds: a target that is started with EQUIPOISE_SEEDS=FOLDER writes them
//! there, a folder for each target.

use std::fs;
use std::path::Path;

use crate::case::Case;
use crate::house::SEPARATOR;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/http");

/// Headers of the PROXY protocol, behind the octet that says how they are cut.
const PROXY_HEADERS: [&[u8]; 6] = [
    b"\0PROXY TCP4 192.0.2.1 192.0.2.2 1 65535\r\nGET ",
    b"\x25PROXY TCP6 2001:db8::7 ::ffff:192.0.2.2 1 2\r\n",
    b"\0PROXY UNKNOWN what ever\r\n",
    b"\x25\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x1e\x7f\0\0\x01\x7f\0\0\x02\x01\xbb\x01\xbb\x01\0\x02h2\x20\0\x0a\x01\0\0\0\0\x21\0\x02v1",
    b"\0\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET ",
    b"\0\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x2b0123456789abcdef0123456789ABCDEF\0\x01\0\x02\x03\0\x04sums",
];

/// Larger ones are slow, and say little more.
const LARGEST: usize = 4096;

/// Writes them, if it is asked to.
pub fn write_if_asked() {
    let Some(folder) = std::env::var_os("EQUIPOISE_SEEDS") else { return };
    let folder = Path::new(&folder);
    for (number, header) in PROXY_HEADERS.iter().enumerate() {
        write(folder, "proxy_header", number, header);
    }
    for (number, case) in Case::read_all(CASES, "requests-").iter().enumerate() {
        let wire = case.bytes(">", ".");
        write(folder, "request_head", number, &[b"\0\x25", &wire[..]].concat());
        write(folder, "connection", number, &wire);
        if let Some(body) = wire.windows(4).position(|four| four == b"\r\n\r\n")
            && case.name.contains("chunks")
        {
            write(folder, "chunked_body", number, &[b"\0\x25", &wire[body + 4..]].concat());
        }
    }
    for (number, case) in Case::read_all(CASES, "responses-").iter().enumerate() {
        let wire = case.bytes("<", ".");
        let asked = case.bytes("ask", "");
        let flags =
            u8::from(asked.starts_with(b"HEAD")) | if asked.ends_with(b"websocket\r\n") { 8 } else { 0 };
        write(folder, "response_head", number, &[&[flags, 0x25], &wire[..]].concat());
        let asked = if asked.is_empty() { b"GET / HTTP/1.1\r\n".to_vec() } else { asked };
        let request = [&asked, &b"Host: a\r\n\r\n"[..]].concat();
        write(folder, "connection", 10_000 + number, &[&request, &[SEPARATOR][..], &wire].concat());
        let two = [&request, &request[..], &[SEPARATOR][..], &wire].concat();
        write(folder, "connection", 20_000 + number, &two);
    }
}

fn write(folder: &Path, target: &str, number: usize, bytes: &[u8]) {
    let folder = folder.join(target);
    fs::create_dir_all(&folder).expect("a folder");
    if bytes.len() <= LARGEST {
        fs::write(folder.join(format!("case-{number}")), bytes).expect("a seed");
    }
}
