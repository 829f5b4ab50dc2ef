//! Pictures of two faults: the share of the one at fault over time, and the p99 of all, drawn as SVG by this file alone.
//!
//! Every picture brings its own background and follows the reader's scheme of light or dark, so that it can be read on any
//! page. Colours are no one's only mark: peers are dashed, and each row of the bars has its name.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use equipoise::simulate::{Arrivals, Chooser, FaultKind, Report, Scenario, Server, Spread, run};

const SECOND: Duration = Duration::from_secs(1);

/// The fault begins and ends; the picture goes on for a while.
const BEGIN: u64 = 20;
const FAULT_END: u64 = 60;
const END: u64 = 90;

/// One point in so many seconds: less would show chance rather than the rule.
const STEP: u64 = 2;

/// Where the curves stand, and where the bars.
const LEFT: f64 = 56.0;
const TOP: f64 = 64.0;
const WIDTH: f64 = 470.0;
const HEIGHT: f64 = 230.0;
const BARS: f64 = 566.0;
const BARS_WIDTH: f64 = 240.0;
const ROW: f64 = 38.0;

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}.h{font-size:15px;font-weight:600}.q{fill:#59636e}
.p{fill:#ffffff}.g{stroke:#d1d9e0}.f{fill:#bf3b2b;fill-opacity:.08}path{fill:none;stroke-width:2}.d{stroke-dasharray:5 4}
.a{stroke:#7a8794}.b{stroke:#2f9e6e}.c{stroke:#c07800}.e{stroke:#2f7fd0}.i{stroke:#b8589a}.j{stroke:#c8553d}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.q{fill:#9198a1}.p{fill:#15191f}.g{stroke:#3d444d}.f{fill-opacity:.2}}";

/// The class of each curve, in order; the last two are peers.
const CLASSES: [&str; 6] = ["a", "b", "c", "e", "i d", "j d"];

/// What one rule came to.
pub(crate) struct Curve {
    name: &'static str,
    /// The share of the server at fault, for each step.
    shares: Vec<f64>,
    p99: Duration,
    /// The share of requests that failed, from the fault on.
    failed: f64,
}

/// Four servers of 8 ms, log-normal, at 180 requests per second; one of them is at fault for 40 s.
pub(crate) fn play(name: &'static str, kind: FaultKind, chooser: &mut dyn Chooser) -> Curve {
    let server = Server::new(Spread::LogNormal { median: Duration::from_millis(8), sigma: 0.67 });
    let mut servers = vec![server.clone(); 4];
    servers[2] = server.with(BEGIN as u32 * SECOND, FAULT_END as u32 * SECOND, kind);
    let scenario = Scenario {
        seed: 6,
        length: END as u32 * SECOND,
        warm_up: BEGIN as u32 * SECOND,
        arrivals: Arrivals::Poisson { per_second: 180.0 },
        servers,
        patience: 10 * SECOND,
        help: None,
        queue: None,
    };
    let report: Report = run(&scenario, chooser);
    let share = |from: u64| report.share(2, Duration::from_secs(from)..Duration::from_secs(from + STEP));
    let failed = report.failed as f64 / report.took.count().max(1) as f64;
    let shares = (0..END).step_by(STEP as usize).map(share).collect();
    Curve { name, shares, p99: report.took.quantile(0.99), failed }
}

/// Fails where the page's picture is another one, or draws it anew where `UPDATE_DOCS` is set.
pub(crate) fn assert_drawn(file: &str, picture: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, picture).unwrap();
    }
    let drawn = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        drawn == picture,
        "docs/{file} shows something else: UPDATE_DOCS=1 cargo test --test laws draws it anew"
    );
}

/// The picture of one fault.
pub(crate) fn draw(title: &str, curves: &[Curve]) -> String {
    let highest = curves.iter().flat_map(|curve| &curve.shares).copied().fold(0.3, f64::max);
    // In steps of a tenth.
    let most = (highest * 10.0 - 1e-9).ceil() / 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 840 340\" role=\"img\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<rect class=\"p\" width=\"840\" height=\"340\"/>\n\
         <text class=\"h\" x=\"{LEFT}\" y=\"24\">{title}</text>\n"
    );
    axes(&mut svg, most);
    for (curve, class) in curves.iter().zip(CLASSES) {
        let points: Vec<String> = curve
            .shares
            .iter()
            .zip(0u64..)
            .map(|(share, step)| {
                let middle = (step * STEP) as f64 + STEP as f64 / 2.0;
                format!("{:.1} {:.1}", across(middle), TOP + HEIGHT * (1.0 - share / most))
            })
            .collect();
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{}\"/>", points.join("L"));
    }
    bars(&mut svg, curves);
    svg.push_str("</svg>\n");
    svg
}

fn across(second: f64) -> f64 {
    LEFT + WIDTH * second / END as f64
}

fn axes(svg: &mut String, most: f64) {
    let (from, width) = (across(BEGIN as f64), across(FAULT_END as f64) - across(BEGIN as f64));
    let _ = writeln!(
        svg,
        "<rect class=\"f\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{HEIGHT}\"/>\n\
         <text class=\"q\" x=\"{LEFT}\" y=\"50\">share of the server at fault</text>\n\
         <text class=\"q\" x=\"{:.1}\" y=\"{:.1}\">the fault</text>",
        from + 6.0,
        TOP + 16.0
    );
    let tenths = (most * 10.0).round() as u32;
    for tenth in (0..=tenths).filter(|tenth| tenths <= 5 || tenth % 2 == 0) {
        let y = TOP + HEIGHT * (1.0 - f64::from(tenth) / f64::from(tenths));
        let end = LEFT + WIDTH;
        let _ = writeln!(
            svg,
            "<line class=\"g\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{end}\" y2=\"{y:.1}\"/>\n\
             <text class=\"q\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{} %</text>",
            LEFT - 8.0,
            y + 4.0,
            tenth * 10
        );
    }
    for second in (0..=END).step_by(20) {
        let (x, y) = (across(second as f64), TOP + HEIGHT + 20.0);
        let _ = writeln!(
            svg,
            "<text class=\"q\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{second} s</text>"
        );
    }
}

/// One row for each curve: its name, and its p99 on a scale of powers of ten from a millisecond on.
fn bars(svg: &mut String, curves: &[Curve]) {
    let _ = writeln!(
        svg,
        "<text class=\"q\" x=\"{BARS}\" y=\"50\">p99 from the fault on, and what failed</text>"
    );
    let long = |p99: Duration| (p99.as_secs_f64() * 1e3).max(1.0).log10();
    let longest = curves.iter().map(|curve| long(curve.p99)).fold(1.0, f64::max);
    for ((curve, class), row) in curves.iter().zip(CLASSES).zip(0u32..) {
        let y = TOP + 12.0 + ROW * f64::from(row);
        let end = BARS + BARS_WIDTH * (long(curve.p99) / longest).max(0.01);
        let p99 = match curve.p99 {
            p99 if p99 < SECOND => format!("{} ms", p99.as_millis()),
            p99 => format!("{:.1} s", p99.as_secs_f64()),
        };
        let failed = curve.failed * 100.0;
        let _ = writeln!(
            svg,
            "<text x=\"{BARS}\" y=\"{y:.1}\">{}</text>\n\
             <text x=\"{}\" y=\"{y:.1}\" text-anchor=\"end\">{p99}, {failed:.1} %</text>\n\
             <path class=\"{class}\" style=\"stroke-width:6\" d=\"M{BARS} {:.1}H{end:.1}\"/>",
            curve.name,
            BARS + BARS_WIDTH,
            y + 10.0
        );
    }
}
