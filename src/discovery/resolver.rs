//! Who knows names.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Lookups that wait for the system at once. Each holds a blocking thread until the system gives up, which
/// takes half a minute and more when no name server answers.
const LOOKUPS_MAX: usize = 16;

/// A lookup under way.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks names up.
pub trait Resolver: Send + Sync {
    /// The addresses of `host:port`, best first.
    fn lookup(&self, address: &str) -> Lookup;
}

/// The system's resolver (getaddrinfo: hosts file, resolv.conf, nsswitch), its order by RFC 6724.
#[derive(Debug)]
pub struct SystemResolver {
    places: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

impl Resolver for SystemResolver {
    fn lookup(&self, address: &str) -> Lookup {
        let (places, address) = (Arc::clone(&self.places), address.to_owned());
        Box::pin(async move {
            let place = places.acquire_owned().await.map_err(io::Error::other)?;
            let mut task = JoinSet::new();
            // The place goes with the system's call, which cannot be interrupted: given back when the caller
            // loses patience, new calls would pile up behind the stuck ones without bound.
            task.spawn_blocking(move || {
                let found = std::net::ToSocketAddrs::to_socket_addrs(address.as_str());
                drop(place);
                found.map(Iterator::collect)
            });
            match task.join_next().await {
                Some(Ok(found)) => found,
                Some(Err(error)) => Err(io::Error::other(error)),
                None => Err(io::Error::other("the lookup was not started")),
            }
        })
    }
}
