//! What the head of a request alone decides: whether it is let in, which route takes it, what a backend is told.

use std::net::IpAddr;

use super::fault::Fault;
use crate::http::{self, Forwarding, Origin, Refusal, RequestHead, Shown};
use crate::snapshot::{HostPolicy, Listener, Pool, Route};

/// Checks limits and finds the route.
#[inline]
pub(super) fn find<'l>(
    listener: &'l Listener,
    request: &RequestHead,
    origin: &Origin,
) -> Result<&'l Route, Fault> {
    if request.ends_here {
        return Err(Fault::LastHop);
    }
    if listener.https_redirect && !http::came_by_https(request, origin) {
        return Err(match http::https_form(request) {
            Some(_) => Fault::Redirected,
            None => Fault::Refused(Refusal::bad("no URL that could be sent to https")),
        });
    }
    if let http::Body::Length(length) = request.body
        && listener.max_body != 0
        && length > listener.max_body
    {
        return Err(Fault::BodyTooLarge);
    }
    route(listener, request)?.ok_or(Fault::NoRoute)
}

fn route<'l>(listener: &'l Listener, request: &RequestHead) -> Result<Option<&'l Route>, Fault> {
    // Also without routes: the same path is refused wherever it goes.
    let path = http::normal_path(request.path()).map_err(Fault::Refused)?;
    if !listener.routes.is_empty() {
        let host = http::host_for_matching(request.host());
        if let Some(route) = listener.routes.find(&host, &path) {
            return Ok(Some(route));
        }
    }
    Ok(listener.default.as_deref())
}

/// What the backend is told of the client, and not told of its connection. Gives the client's address.
#[inline]
pub(super) fn edit(
    request: &mut RequestHead,
    forwarding: &mut Forwarding,
    (listener, pool): (&Listener, &Pool),
    (origin, shown): (&Origin, Option<&Shown>),
    fresh_id: u128,
) -> IpAddr {
    let address = http::client_address(&request.fields, origin, |address| listener.trusts(address));
    request.strip_hop_by_hop();
    forwarding.apply(request, origin, fresh_id, listener.via);
    if listener.shows_certificates {
        http::show_certificate(request, shown);
    }
    if let HostPolicy::Fixed(host) = &pool.pass_host {
        request.set_host(host.as_bytes());
    }
    address
}
