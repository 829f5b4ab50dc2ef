//! Names that come, go and move, on a paused clock.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, advance, timeout};

use super::*;
use crate::backend::{Backend, Identity};

/// Answers from a table; a name that is not in it does not exist, an empty list never answers.
#[derive(Default)]
struct Table(Mutex<HashMap<String, Vec<SocketAddr>>>);

impl Table {
    fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.0.lock().unwrap().insert(name.into(), addresses);
    }
}

impl Resolver for Table {
    fn lookup(&self, address: &str) -> Lookup {
        let answer = self.0.lock().unwrap().get(address).cloned();
        Box::pin(async move {
            match answer {
                None => Err(io::Error::other("no such host")),
                Some(addresses) if addresses.is_empty() => std::future::pending().await,
                Some(addresses) => Ok(addresses),
            }
        })
    }
}

fn backend(address: &str) -> Arc<Backend> {
    Backend::new(
        Identity { pool: Arc::from("crm"), name: Arc::from(address), address: Arc::from(address) },
        true,
    )
}

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

fn names() -> (Names, Arc<Table>, mpsc::UnboundedReceiver<u64>) {
    let (sender, changes) = mpsc::unbounded_channel();
    let table = Arc::new(Table::default());
    let on_change: Listener = Arc::new(move |backend: &Arc<Backend>| _ = sender.send(backend.id()));
    (Names::with_resolver(Arc::clone(&table) as Arc<dyn Resolver>, on_change), table, changes)
}

#[tokio::test(start_paused = true)]
async fn at_load_names_resolve_side_by_side_and_within_bounds() {
    let (names, table, mut changes) = names();
    table.set("app.internal:80", &["10.0.0.1:80", "10.0.0.2:80"]);
    table.set("stuck.internal:80", &[]);
    let all =
        ["192.0.2.1:8080", "[2001:db8::1]:80", "app.internal:80", "gone.internal:80", "stuck.internal:80"]
            .map(backend);
    let begun = Instant::now();
    names.resolve_now(&all).await;
    assert_eq!(begun.elapsed().as_secs(), 5);
    let addresses: Vec<_> = all.iter().map(|backend| backend.address()).collect();
    let expected =
        [address("192.0.2.1:8080"), address("[2001:db8::1]:80"), address("10.0.0.1:80"), None, None];
    assert_eq!(addresses, expected);
    let up: Vec<_> = all.iter().map(|backend| backend.condition().is_up()).collect();
    assert_eq!(up, [true, true, true, false, false]);
    assert_eq!(&*all[3].condition().reason(), "name does not resolve: no such host");
    assert_eq!(&*all[4].condition().reason(), "name does not resolve: no answer within 5s");
    assert!(changes.try_recv().is_err());
    // A reload asks only for what is still missing.
    table.set("app.internal:80", &["10.9.9.9:80"]);
    names.resolve_now(&all[..3]).await;
    assert_eq!(all[2].address(), address("10.0.0.1:80"));
}

#[tokio::test(start_paused = true)]
async fn a_name_moves_only_when_its_address_leaves_the_answer() {
    let (mut names, table, mut changes) = names();
    let app = backend("app.internal:80");
    table.set("app.internal:80", &["10.0.0.1:80"]);
    names.resolve_now(std::slice::from_ref(&app)).await;
    names.reconcile(vec![Arc::clone(&app)]);
    // Rotated answers move nothing; neither does a name that is gone for a while.
    table.set("app.internal:80", &["10.0.0.2:80", "10.0.0.1:80"]);
    assert!(timeout(Duration::from_secs(100), changes.recv()).await.is_err());
    table.0.lock().unwrap().clear();
    assert!(timeout(Duration::from_secs(100), changes.recv()).await.is_err());
    assert_eq!(app.address(), address("10.0.0.1:80"));
    assert!(app.condition().is_up());
    table.set("app.internal:80", &["10.0.0.2:80"]);
    let begun = Instant::now();
    assert_eq!(changes.recv().await, Some(app.id()));
    assert!(begun.elapsed() <= Duration::from_secs(34));
    assert_eq!(app.address(), address("10.0.0.2:80"));
    // Somebody who checks it is asked to look.
    timeout(Duration::from_secs(1), app.probe_wanted()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_name_that_comes_is_up_again_and_reconciling_does_not_disturb_it() {
    let (mut names, table, mut changes) = names();
    let app = backend("app.internal:80");
    names.resolve_now(std::slice::from_ref(&app)).await;
    assert!(!app.condition().is_up());
    names.reconcile(vec![Arc::clone(&app)]);
    table.set("app.internal:80", &["10.0.0.1:80"]);
    // Reconciled every second it would never be looked up if that started the wait anew.
    for _ in 0..7 {
        advance(Duration::from_secs(1)).await;
        names.reconcile(vec![Arc::clone(&app)]);
        tokio::task::yield_now().await;
    }
    assert_eq!(changes.try_recv(), Ok(app.id()));
    assert!(app.condition().is_up());
    assert_eq!(&*app.condition().reason(), "name resolves");
    // No longer wanted: no longer looked up.
    names.reconcile(Vec::new());
    table.set("app.internal:80", &["10.0.0.2:80"]);
    assert!(timeout(Duration::from_secs(100), changes.recv()).await.is_err());
}

#[tokio::test]
async fn the_system_knows_this_machine() {
    let found = SystemResolver::default().lookup("localhost:8080").await.unwrap();
    assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 8080));
    assert!(!found.is_empty());
}
