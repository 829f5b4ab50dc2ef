//! The whole connection driver on one thread: a worker of the balancer, a client and a scripted backend share
//! one runtime, so that a run is repeated by its input.
//!
//! The input is cut at 0xF8: what the client sends, then what the backend answers to the first request that
//! reaches it, to the second, and so on. When there is no more, it answers well.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use equipoise::listen::{self, Command, MAX_COMMANDS};
use equipoise::observe::Metrics;
use equipoise::proxy::Worker;
use equipoise::snapshot::{compile, vocabulary};
use equipoise::upstream::{Fleet, events_were_read};
use equipoise::wire::Budget;
use equipoise::{config, drain};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::mpsc;

use crate::strict::{self, Fault, Message};

/// Separates the pieces of an input.
pub const SEPARATOR: u8 = 0xf8;

/// No input may take longer: whatever waits has a deadline far below.
const PATIENCE: Duration = Duration::from_secs(8);

/// The house with its guests.
pub struct House {
    runtime: LocalRuntime,
    web: SocketAddr,
    backend: Rc<Backend>,
    runs: u64,
    _hold: (mpsc::Sender<Command>, drain::Signal),
}

/// What the backend is to say, and what it heard.
#[derive(Default)]
struct Backend {
    script: RefCell<Vec<Vec<u8>>>,
    heard: RefCell<Vec<Heard>>,
}

struct Heard {
    message: Message,
    /// What was answered, where the script said it.
    answer: Option<Vec<u8>>,
}

/// What a client must get of an answer that stands in the script.
enum Due {
    /// All of it, or a 502.
    Whole { status: Vec<u8>, body: Vec<u8> },
    /// Never a whole response: it breaks off.
    Short,
    /// Whatever it is, it is well-formed.
    Unknown,
}

impl House {
    /// Opens it.
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_unpark(events_were_read)
            .build_local(LocalOptions::default())
            .expect("a runtime");
        let backend = Rc::new(Backend::default());
        let (web, hold) = runtime.block_on(open(Rc::clone(&backend)));
        Self { runtime, web, backend, runs: 0, _hold: hold }
    }

    /// Runs one input and checks what came of it.
    pub fn run(&mut self, data: &[u8]) {
        let mut pieces = data.split(|octet| *octet == SEPARATOR);
        let sent = pieces.next().unwrap_or_default();
        *self.backend.script.borrow_mut() = pieces.rev().map(<[u8]>::to_vec).collect();
        self.backend.heard.borrow_mut().clear();
        self.runs += 1;
        let (web, runs) = (self.web, self.runs);
        let talk = async {
            let got = talk(web, sent).await;
            self.backend.check(&got);
            self.backend.compare(sent);
            self.backend.script.borrow_mut().clear();
            self.backend.heard.borrow_mut().clear();
            self.backend.synchronise(web, runs).await;
        };
        let ended = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, talk).await });
        assert!(ended.is_ok(), "stuck");
    }
}

impl Default for House {
    fn default() -> Self {
        Self::new()
    }
}

type Hold = (mpsc::Sender<Command>, drain::Signal);

async fn open(backend: Rc<Backend>) -> (SocketAddr, Hold) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = listener.local_addr().expect("its address");
    tokio::task::spawn_local(accept(listener, backend));
    let text = format!(
        "[[listener]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\npool = \"p\"\nallow_connect = true\n\
         limits.max_head_size = \"2KiB\"\nlimits.max_body_size = \"64KiB\"\n\
         timeouts = {{ head = \"1s\", body = \"1s\", keep_alive = \"2s\", write = \"1s\" }}\n\
         [pool.p]\nbackends = \"{origin}\"\nretry.on = []\n\
         timeouts = {{ connect = \"1s\", response = \"1s\", idle = \"1s\", tunnel = \"1s\" }}\n"
    );
    let reading = config::read("fuzz", &text, &vocabulary());
    let config = reading.config.unwrap_or_else(|| panic!("{}", reading.report.to_text(false)));
    let metrics = Metrics::new(1);
    let snapshot = compile(&config, None, &metrics, 4096, None, None, Instant::now());
    for one in snapshot.backends() {
        one.set_address(Some(origin));
    }
    let worker = Worker::new(
        0,
        Arc::new(ArcSwap::from_pointee(snapshot)),
        Fleet::new(1),
        Budget::new(config.server.buffer_memory, 1),
    );
    let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
    let (signal, watch) = drain::channel();
    let alone = listen::neighbours(1).remove(0);
    tokio::task::spawn_local(listen::run(Rc::new(worker), alone, receiver, watch));
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.set_nonblocking(true).expect("non-blocking");
    let web = socket.local_addr().expect("its address");
    commands.send(Command::Open { id: 1, listener: "web".into(), socket }).await.expect("a worker");
    (web, (commands, signal))
}

/// Sends it all, then a FIN, and reads to the end.
async fn talk(web: SocketAddr, sent: &[u8]) -> Got {
    let stream = TcpStream::connect(web).await.expect("the balancer accepts");
    let (mut reader, mut writer) = stream.into_split();
    let mut bytes = Vec::new();
    let write = async {
        let _ = writer.write_all(sent).await;
        let _ = writer.shutdown().await;
    };
    let (read, ()) = tokio::join!(reader.read_to_end(&mut bytes), write);
    Got { bytes, reset: read.is_err() }
}

/// What the client got.
struct Got {
    bytes: Vec<u8>,
    /// The end was a reset.
    reset: bool,
}

impl Backend {
    /// Everything that the client got is well-formed, and of a scripted answer what it should be.
    fn check(&self, got: &Got) {
        let heard = self.heard.borrow();
        let by_id: HashMap<&[u8], &Heard> =
            heard.iter().filter_map(|one| Some((id(&one.message.fields)?, one))).collect();
        let mut at = 0;
        while at < got.bytes.len() {
            let rest = &got.bytes[at..];
            // Its head alone tells whose answer it is.
            let head = match strict::response(rest, b"HEAD", true) {
                Err(Fault::Short) if got.reset => return,
                other => {
                    other.unwrap_or_else(|fault| panic!("{fault:?} to the client: {}", rest.escape_ascii()))
                }
            };
            if head.start[1].starts_with(b"1") {
                if head.start[1] == b"101" {
                    return; // what follows is no HTTP
                }
                at += head.used;
                continue;
            }
            let asked = id(&head.fields).and_then(|id| by_id.get(id));
            let method = asked.map_or(&b"GET"[..], |one| &one.message.start[0]);
            if method == b"CONNECT" && head.start[1].starts_with(b"2") {
                return;
            }
            let whole = strict::response(rest, method, !got.reset);
            let due = asked.map_or(Due::Unknown, |one| due(one, method));
            check_one(&whole, &head, &due, got.reset);
            match (whole, asked) {
                (Ok(message), _) => at += message.used,
                // A HEAD that was refused before it was known to be one.
                (Err(Fault::Short), None) => at += head.used,
                (Err(_), _) => return,
            }
        }
    }

    /// As far as the strict reader can read what the client sent, the backend heard just that, in its order.
    fn compare(&self, sent: &[u8]) {
        let heard = self.heard.borrow();
        let mut at = 0;
        for (index, one) in heard.iter().enumerate() {
            let found = &one.message;
            if heard[..index].iter().any(|before| id(&before.message.fields) == id(&found.fields)) {
                continue; // sent again, for its connection had been closed
            }
            let meant = loop {
                let Ok(meant) = strict::request(&sent[at..]) else { return };
                at += meant.used;
                let hops = strict::values(&meant.fields, "max-forwards");
                let ends = meant.start[0] == b"OPTIONS"
                    && hops.iter().any(|left| left.iter().all(|one| *one == b'0'));
                if !ends {
                    break meant;
                }
            };
            assert_eq!((&found.start[0], &found.body), (&meant.start[0], &meant.body), "another request");
            if meant.start[1].starts_with(b"/") {
                assert_eq!(found.start[1], meant.start[1], "another target");
                let host = |message: &Message| strict::values(&message.fields, "host").concat();
                assert_eq!(host(found), host(&meant), "another host");
            }
        }
    }

    /// A good request is answered well, and nothing else reaches the backend.
    async fn synchronise(&self, web: SocketAddr, run: u64) {
        let request = format!("GET /sync/{run} HTTP/1.1\r\nHost: sync\r\n\r\n");
        let got = talk(web, request.as_bytes()).await;
        let answer = strict::response(&got.bytes, b"GET", true);
        let body = answer.map(|message| message.body);
        assert_eq!(body.as_deref(), Ok(&b"well"[..]), "out of step: {}", got.bytes.escape_ascii());
        let heard = self.heard.borrow();
        let target = format!("/sync/{run}");
        assert!(
            heard.len() == 1 && heard[0].message.start[1] == target.as_bytes(),
            "out of step: {:?}",
            heard.iter().map(|one| String::from_utf8_lossy(&one.message.start[1])).collect::<Vec<_>>()
        );
    }
}

/// Status and body of an answer that no script gives. A tunnel is opened by a script alone.
fn well(method: &[u8]) -> (&'static str, &'static str) {
    match method {
        b"HEAD" => ("200", ""),
        b"CONNECT" => ("403", "well"),
        _ => ("200", "well"),
    }
}

fn id(fields: &[strict::Field]) -> Option<&[u8]> {
    strict::values(fields, "x-request-id").first().copied()
}

fn due(heard: &Heard, method: &[u8]) -> Due {
    let Some(script) = &heard.answer else {
        let (status, body) = well(method);
        return Due::Whole { status: status.into(), body: body.into() };
    };
    let mut at = 0;
    loop {
        match strict::response(&script[at..], method, true) {
            Ok(message) if message.start[1].starts_with(b"1") => at += message.used,
            Ok(message) => return Due::Whole { status: message.start[1].clone(), body: message.body },
            Err(Fault::Short) => return Due::Short,
            Err(Fault::Wrong(_)) => return Due::Unknown,
        }
    }
}

fn check_one(whole: &Result<Message, Fault>, head: &Message, due: &Due, reset: bool) {
    let relayed = !strict::values(&head.fields, "via").is_empty();
    match (whole, due) {
        (Err(Fault::Wrong(what)), _) => panic!("{what} to the client: {head:?}"),
        (Ok(message), Due::Whole { status, body }) if relayed => {
            assert_eq!((&message.start[1], &message.body), (status, body), "another answer");
        }
        (Ok(message), Due::Short) => assert!(!relayed, "short, and passed on as whole: {message:?}"),
        (Err(Fault::Short), Due::Whole { .. } | Due::Unknown | Due::Short) | (Ok(_), _) => {}
    }
    // What is framed by the end of the connection must not look whole when it is not.
    let framed = !strict::values(&head.fields, "content-length").is_empty()
        || !strict::values(&head.fields, "transfer-encoding").is_empty();
    assert!(framed || reset || whole.is_ok() || !relayed, "cut without a sign: {head:?}");
}

async fn accept(listener: TcpListener, backend: Rc<Backend>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let backend = Rc::clone(&backend);
        tokio::task::spawn_local(async move { drop(serve(stream, &backend).await) });
    }
}

/// One connection to the backend: every request is read by the strict reader.
async fn serve(mut stream: TcpStream, backend: &Backend) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let message = match strict::request(&bytes) {
            Ok(message) => message,
            Err(Fault::Short) => {
                if stream.read_buf(&mut bytes).await? == 0 {
                    return Ok(());
                }
                continue;
            }
            Err(fault) => panic!("{fault:?} to the backend: {}", bytes.escape_ascii()),
        };
        bytes.drain(..message.used);
        let is_sync = message.start[1].starts_with(b"/sync/");
        let answer = if is_sync { None } else { backend.script.borrow_mut().pop() };
        let method = message.start[0].clone();
        backend.heard.borrow_mut().push(Heard { message, answer: answer.clone() });
        let Some(answer) = answer else {
            let (status, body) = well(&method);
            stream
                .write_all(format!("HTTP/1.1 {status} Well\r\nContent-Length: 4\r\n\r\n{body}").as_bytes())
                .await?;
            continue;
        };
        stream.write_all(&answer).await?;
        // Only behind what is whole to the letter may another request come.
        let is_whole =
            strict::response(&answer, &method, false).is_ok_and(|one| !one.start[1].starts_with(b"1"));
        if !is_whole || method == b"CONNECT" {
            stream.shutdown().await?;
            // Reading on, so that the end is no reset.
            while stream.read_buf(&mut bytes).await? > 0 {
                bytes.clear();
            }
            return Ok(());
        }
    }
}
