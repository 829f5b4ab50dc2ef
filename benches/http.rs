//! The codec on heads of ordinary size: read, edit for the other side, write; and the decoding of a body.

#![allow(missing_docs, reason = "criterion's macros make public items that nobody reads about")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use equipoise::http::{
    Body, Decoder, Forwarding, HeadLimits, HeadPolicy, Method, Origin, Parsed, RequestHead, ResponseHead,
    Step, Underscores, Version, normal_path,
};

criterion_group!(benches, requests, responses, bodies, paths);
criterion_main!(benches);

const LIMITS: HeadLimits = HeadLimits { max_size: 65_536, max_fields: 128 };

const POLICY: HeadPolicy = HeadPolicy { underscores: Underscores::Safe, allow_connect: false };

const SMALL: &[u8] =
    b"GET /api/customers?page=2 HTTP/1.1\r\nHost: crm.example.com:8080\r\nUser-Agent: wrk/4.2\r\n\
    Accept: */*\r\nX-Tenant: acme\r\n\r\n";

const BROWSER: &[u8] = b"GET /crm/customers/list?page=2&sort=name HTTP/1.1\r\nHost: crm.example.com\r\n\
    Connection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n\
    Referer: https://crm.example.com/crm/\r\n\
    Cookie: sessionid=4f6c1d0e9b8a7c6d5e4f3a2b1c0d9e8f; csrftoken=0a1b2c3d4e5f60718293a4b5c6d7e8f9\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Sat, 21 Nov 2026 05:00:00 GMT\r\n\
    Content-Type: application/json\r\nContent-Length: 200\r\nConnection: keep-alive\r\n\r\n";

fn requests(criterion: &mut Criterion) {
    let origin = origin();
    for (name, bytes) in [("small", SMALL), ("browser", BROWSER)] {
        let mut group = criterion.benchmark_group(format!("request/{name}"));
        let (mut head, mut forwarding) = (RequestHead::new(), Forwarding::default());
        let mut out = Vec::with_capacity(4096);
        group.bench_function("parse", |bencher| {
            bencher.iter(|| black_box(head.parse(black_box(bytes), LIMITS, POLICY)));
        });
        group.bench_function("emit", |bencher| {
            bencher.iter(|| {
                out.clear();
                head.emit(&mut out);
                black_box(out.len())
            });
        });
        group.bench_function("parse, edit, emit", |bencher| {
            bencher.iter(|| pass_on_request(bytes, &mut head, &mut forwarding, &origin, &mut out));
        });
        group.finish();
    }
}

fn responses(criterion: &mut Criterion) {
    let mut head = ResponseHead::new();
    let mut out = Vec::with_capacity(4096);
    let mut group = criterion.benchmark_group("response");
    group.bench_function("parse", |bencher| {
        bencher.iter(|| black_box(head.parse(black_box(ANSWER), LIMITS, Method::Get, None)));
    });
    group.bench_function("parse, edit, emit", |bencher| {
        bencher.iter(|| pass_on_response(&mut head, &mut out));
    });
    group.finish();
}

fn bodies(criterion: &mut Criterion) {
    let mut wire = Vec::new();
    for _ in 0..16 {
        wire.extend_from_slice(b"1000\r\n");
        wire.extend_from_slice(&[b'x'; 4096]);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    let mut group = criterion.benchmark_group("body");
    group.throughput(Throughput::Bytes(wire.len() as u64));
    group.bench_function("16 chunks of 4 KiB", |bencher| {
        bencher.iter(|| {
            let (mut decoder, mut used) = (Decoder::new(Body::Chunked), 0);
            while let Ok(step) = decoder.step(&wire[used..]) {
                match step {
                    Step::Data { end, .. } => used += end,
                    Step::More(n) | Step::Done(n) => {
                        used += n;
                        break;
                    }
                }
            }
            black_box(used)
        });
    });
    group.finish();
}

fn paths(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("normal path");
    for path in ["/api/customers/42", "/api/%63ustomers/./42"] {
        group.bench_function(path, |bencher| {
            bencher.iter(|| black_box(normal_path(black_box(path.as_bytes())).is_ok()));
        });
    }
    group.finish();
}

/// One request as the proxy handles it; on its own so that a profiler can count its instructions.
#[inline(never)]
fn pass_on_request(
    bytes: &[u8],
    head: &mut RequestHead,
    forwarding: &mut Forwarding,
    origin: &Origin,
    out: &mut Vec<u8>,
) -> bool {
    out.clear();
    let whole = matches!(head.parse(bytes, LIMITS, POLICY), Ok(Parsed::Complete(_)));
    head.strip_hop_by_hop();
    forwarding.apply(head, origin, 0x1234_5678_9abc_def0_1234_5678_9abc_def0, true);
    head.emit(out);
    whole
}

#[inline(never)]
fn pass_on_response(head: &mut ResponseHead, out: &mut Vec<u8>) -> bool {
    out.clear();
    let whole = matches!(head.parse(ANSWER, LIMITS, Method::Get, None), Ok(Parsed::Complete(_)));
    head.strip_hop_by_hop();
    head.frame_for(Version::Http11);
    head.emit(out);
    whole
}

fn origin() -> Origin {
    let peer = std::net::SocketAddr::from(([192, 0, 2, 7], 50_000));
    Origin::new(peer, 8080, false, false)
}
