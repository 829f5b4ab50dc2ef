//! `slo` of a route or pool

use std::time::Duration;

use crate::config::model::Slo;
use crate::config::report::{Code, Diagnostic, Findings};
use crate::config::walk::Section;

/// The histogram of durations ends here.
const LATENCY_MAX: Duration = Duration::from_secs(60);
/// The budget is counted in 720 buckets: of 5 s at least.
const WINDOW_MIN: Duration = Duration::from_secs(3600);

pub(super) fn build(section: &Section, findings: &mut Findings) -> Option<Slo> {
    let entry = section.given("slo")?;
    let slo = section.table("slo")?;
    let refuse = |key: &str, message: &str, label: &str, findings: &mut Findings| {
        let one = Diagnostic::error(Code::BadValue, slo.place(key), format!("`{key}`: {message}"));
        findings.push(one.label(label));
    };
    let (latency, ratio) = (slo.duration("latency"), slo.fraction("latency_ratio"));
    if latency.is_some_and(|latency| latency > LATENCY_MAX) {
        refuse(
            "latency",
            "longer than 60s, beyond which durations are not told apart",
            "at most 60s",
            findings,
        );
    }
    let window = slo.duration("window").unwrap_or(WINDOW_MIN);
    if window < WINDOW_MIN {
        refuse("window", "shorter than 1h", "1h to 365d", findings);
    }
    for (given, lacking) in [("latency", "latency_ratio"), ("latency_ratio", "latency")] {
        if let Some(one) = slo.given(given).filter(|_| slo.given(lacking).is_none()) {
            let message = format!("`slo.{given}` means nothing without `slo.{lacking}`");
            let one = Diagnostic::error(Code::MissingKey, one.key.clone(), message);
            findings.push(one.label(format!("`{lacking}` is missing")));
        }
    }
    if ["availability", "latency", "latency_ratio"].iter().all(|key| slo.given(key).is_none()) {
        let one = Diagnostic::error(Code::MissingKey, entry.key.clone(), "`slo` promises nothing");
        let help = "for instance slo = { availability = 99.9 }";
        findings.push(one.label("`availability` or `latency` is missing").help(Some(help)));
    }
    Some(Slo {
        availability: slo.fraction("availability").map(share),
        latency: latency.zip(ratio.map(share)),
        window,
    })
}

/// Percent as a share: the number nearest to what was written, so that 99.9 is shown as 0.999.
fn share(percent: f64) -> f64 {
    /// Parts of a percent that are told apart.
    const PARTS: f64 = 1e9;
    let share = (percent * PARTS).round() / (PARTS * 100.0);
    // Still neither nothing nor all.
    if share > 0.0 && share < 1.0 { share } else { percent / 100.0 }
}
