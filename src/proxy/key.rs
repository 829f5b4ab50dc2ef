//! What a request gives to an algorithm that hashes.

use std::net::IpAddr;

use crate::balance;
use crate::http::{Known, RequestHead};
use crate::snapshot::Key;

/// The hash of a request's key. A request that lacks the field, cookie or parameter hashes like every
/// other that lacks it, except that without it the client's address spreads them.
pub(super) fn of(key: &Key, request: &RequestHead, client: IpAddr) -> u64 {
    let found = match key {
        Key::None => return 0,
        Key::ClientIp => None,
        Key::Path => Some(request.path()),
        Key::Uri => Some(request.target()),
        Key::Header(name) => request.fields.by_name(name),
        Key::Cookie(name) => cookie(request, name.as_bytes()),
        Key::Query(name) => query(request.target(), name.as_bytes()),
    };
    found.map_or_else(|| balance::address_key(client), balance::key)
}

fn cookie<'a>(request: &'a RequestHead, name: &[u8]) -> Option<&'a [u8]> {
    request
        .fields
        .values(Known::Cookie)
        .flat_map(|line| line.split(|b| *b == b';'))
        .find_map(|pair| pair_value(pair.trim_ascii(), name))
}

fn query<'a>(target: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let query = &target[memchr::memchr(b'?', target)? + 1..];
    query.split(|b| *b == b'&').find_map(|pair| pair_value(pair, name))
}

fn pair_value<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    pair.strip_prefix(name)?.strip_prefix(b"=")
}
