//! What is said of the certificates that clients are shown.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use crate::observe::CertificateLabel;
use crate::snapshot::Snapshot;

/// Who renews them a third before their end, as certbot does with 90 days, has failed for weeks by then.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// How often it is looked at their ends while nothing else happens.
const LOOK_EVERY: Duration = Duration::from_secs(24 * 3600);

/// The certificates of each listener.
pub(super) type Shown = Vec<(Arc<str>, CertificateLabel)>;

/// What a snapshot shows.
pub(super) fn shown(snapshot: &Snapshot) -> Shown {
    let of = |listener: &Arc<crate::snapshot::Listener>| {
        let name = Arc::clone(&listener.name);
        let all = listener.series.certificates().unwrap_or_default();
        all.into_iter().map(move |one| (Arc::clone(&name), one)).collect::<Vec<_>>()
    };
    snapshot.listeners.iter().flat_map(of).collect()
}

/// Says which have come, which have gone, and of those that have come which end soon.
pub(super) fn tell_changes(before: &Shown, now: &Shown) {
    for (listener, one) in now.iter().filter(|one| !before.contains(one)) {
        tracing::info!(target: "equipoise::control", %listener, name = &*one.name, serial = &*one.serial, not_after = date(one), "certificate is shown");
        tell_end(listener, one);
    }
    for (listener, one) in before.iter().filter(|one| !now.contains(one)) {
        tracing::info!(target: "equipoise::control", %listener, name = &*one.name, serial = &*one.serial, "certificate is no longer shown");
    }
}

/// Listeners that a reload took away show nothing any more, although what began before it may run on for days.
pub(super) fn withdraw(old: &Snapshot, new: &Snapshot) {
    let gone = old.listeners.iter().filter(|listener| new.listener(&listener.name).is_none());
    gone.for_each(|listener| listener.series.set_certificates(false, Vec::new()));
}

/// Says once a day which end soon. Never ends.
pub(super) async fn watch(shared: Arc<ArcSwap<Snapshot>>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        shown(&shared.load()).iter().for_each(|(listener, one)| tell_end(listener, one));
    }
}

fn tell_end(listener: &str, one: &CertificateLabel) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let (name, serial) = (&*one.name, &*one.serial);
    if one.not_after <= now {
        tracing::error!(target: "equipoise::control", listener, name, serial, not_after = date(one), "certificate has expired");
    } else if one.not_after - now < SOON.as_secs() as i64 {
        tracing::warn!(target: "equipoise::control", listener, name, serial, not_after = date(one), "certificate expires soon");
    }
}

fn date(one: &CertificateLabel) -> String {
    match u64::try_from(one.not_after) {
        // What lies beyond the year 9999 cannot be written, and need not be.
        Ok(at) if at < 253_402_300_800 => httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at)),
        _ => one.not_after.to_string(),
    }
}
