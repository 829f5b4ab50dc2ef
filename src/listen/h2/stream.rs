//! One stream: a request and its response, served as those of a connection of its own.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use h2::RecvStream;
use h2::server::SendResponse;
use hyper::{Method, Request};

use super::duplex::Traffic;
use super::hall::Hall;
use super::head::{self, Form, Incoming};
use super::inlet::Inlet;
use super::outlet::Outlet;
use crate::frames::Piece;
use crate::http::{Origin, Parsed, Refusal, Shown};
use crate::listen::table::Chair;
use crate::observe::{CLIENT_LEFT, MethodLabel, Reason};
use crate::proxy::{self, After, Arrival, Client, Desk, LARGE_HEAD, Seat, Worker};
use crate::snapshot::Listener;
use crate::wire::{Charge, FREE, Lane, Stream, Use};

/// What a stream needs of its connection.
pub(super) struct House<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) listener: &'a Arc<Listener>,
    pub(super) origin: &'a Origin,
    pub(super) shown: &'a Option<Rc<Shown>>,
    pub(super) chair: &'a Chair,
    pub(super) hall: &'a Rc<Hall>,
}

/// Starts the task of a stream.
pub(super) fn begin(
    house: &House<'_>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Piece>,
    cx: &mut Context<'_>,
) {
    let now = Instant::now();
    let worker = house.worker;
    let (parts, body) = request.into_parts();
    if respond.poll_reset(cx).is_ready() {
        // It has been opened and given up in one breath: nothing is done for it.
        let method = MethodLabel::of(parts.method.as_str().as_bytes());
        house.listener.unrouted.request(worker.index, method, CLIENT_LEFT, Duration::ZERO);
        return;
    }
    let is_whole = body.is_end_stream();
    let Some(presence) = house.hall.enter(!is_whole, &house.listener.capacity) else {
        house.listener.series.rejected(worker.index, Reason::ConnectionLimit);
        respond.send_reset(h2::Reason::REFUSED_STREAM);
        return;
    };
    let form = Form::of(&parts, is_whole);
    let random = worker.random.borrow_mut().u128(..);
    let head =
        head::write(&parts, form, Incoming { max_size: house.listener.head.max_size, is_whole, random });
    let mut charge = Charge::default();
    if let Ok(text) = &head
        && text.len() > FREE
    {
        // A few octets can stand for many (RFC 7541): who has no memory for them says so before anything is done.
        if !worker.blocks.would_grant(text.len(), Use::Head) {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
            return;
        }
        worker.blocks.count(&mut charge, text.len());
    }
    let lane = StreamLane {
        inlet: Inlet::new(body, presence, form.chunked, form.tunnel.is_some()),
        hall: Rc::clone(house.hall),
        outlet: Outlet::new(
            respond,
            parts.method == Method::HEAD,
            form.tunnel,
            Rc::clone(&house.hall.traffic),
            &worker.blocks,
        ),
    };
    drop(parts);
    let seat = Rc::new(Seat::default());
    let chair = house.chair.beside(Rc::clone(&seat));
    let timer = worker.wheel.timer();
    let client = Client::new(Stream::Lane(Box::new(lane)), house.origin.clone(), None, timer, seat);
    let call = Box::new(Call {
        client: client.of_connection(Rc::clone(&house.hall.ends)).with_certificate(house.shown.clone()),
        worker: Rc::clone(worker),
        listener: Arc::clone(house.listener),
        desk: None,
        chair,
        traffic: Rc::clone(&house.hall.traffic),
        _head: charge,
    });
    let at = call.chair.index();
    let task = tokio::task::spawn_local(call.run(head, now));
    house.chair.serve(at, task.abort_handle());
}

/// One stream as a connection.
#[derive(Debug)]
struct StreamLane {
    inlet: Inlet,
    outlet: Outlet,
    hall: Rc<Hall>,
}

impl Lane for StreamLane {
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.inlet.poll_ahead(&mut self.outlet, cx)
    }

    fn consume(&mut self, n: usize) {
        self.inlet.consume(n);
    }

    fn poll_write(&mut self, head: &[u8], tail: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.outlet.poll_write(head, tail, cx)
    }

    fn secured(&self) -> Option<(&'static str, Option<&str>)> {
        self.hall.secured()
    }

    fn shut_down(&mut self) {
        self.outlet.shut_down();
    }

    fn abort(&mut self) {
        self.outlet.abort();
    }

    fn is_broken(&mut self) -> bool {
        self.outlet.is_broken()
    }
}

/// The service of one stream.
struct Call {
    worker: Rc<Worker>,
    listener: Arc<Listener>,
    client: Client,
    desk: Option<Box<Desk>>,
    chair: Chair,
    traffic: Rc<Traffic>,
    /// What is counted for its head.
    _head: Charge,
}

impl Call {
    async fn run(mut self: Box<Self>, head: Result<Vec<u8>, Refusal>, now: Instant) {
        poll_fn(|cx| {
            self.client.timer.wake(cx.waker());
            Poll::Ready(())
        })
        .await;
        let read = head.and_then(|text| self.read(&text));
        let Desk { request, scratch } = &mut **self.desk.get_or_insert_with(|| self.worker.desks.take());
        match read {
            Err(refusal) => {
                self.traffic.refused(now);
                proxy::refuse(&self.worker, &self.listener, &mut self.client, refusal, now);
            }
            Ok(()) => {
                request.came_in_http2();
                let arrival = Arrival { began: now, complete: now };
                let (worker, listener, client) = (&self.worker, &self.listener, &mut self.client);
                let served = proxy::serve(worker, listener, client, request, scratch, arrival);
                if Box::pin(served).await.0 == After::Abort {
                    self.client.stream.abort();
                    return;
                }
            }
        }
        if let Some(desk) = self.desk.take().filter(|desk| !desk.scratch.large) {
            self.worker.desks.give(desk);
        }
        self.flush().await;
    }

    /// Reads the head by the rules of the codec.
    fn read(&mut self, text: &[u8]) -> Result<(), Refusal> {
        let desk = self.desk.get_or_insert_with(|| self.worker.desks.take());
        match desk.request.parse(text, self.listener.head, self.listener.policy)? {
            Parsed::Complete(used) if used == text.len() => {
                desk.scratch.large |= used > LARGE_HEAD;
                Ok(())
            }
            _ => Err(Refusal::bad("a head within a head")),
        }
    }

    /// Writes what is to be written, as long as the client takes it.
    async fn flush(&mut self) {
        let mut written = None;
        poll_fn(|cx| {
            if self.client.poll_flush(cx).is_ready() {
                return Poll::Ready(());
            }
            if written != Some(self.client.wrote) {
                written = Some(self.client.wrote);
                self.client.timer.arm(Instant::now() + self.listener.write_timeout);
            }
            if self.client.timer.has_fired() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.client.seat.backend.get() != 0 {
            // Ended from outside in the midst of an exchange.
            self.client.stream.abort();
        }
        self.client.buffer.consume(self.client.buffer.len());
        self.client.buffer.release(&self.worker.blocks);
        self.client.out.clear();
        self.client.out.release(&self.worker.blocks);
    }
}
