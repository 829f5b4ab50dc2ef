//! What a disk may give back of a journal, and what becomes of it.

use proptest::prelude::*;

use super::*;

#[test]
fn a_journal_cut_anywhere_is_read_up_to_there() {
    let mut stage = Stage::new();
    stage.requests(503, 3);
    stage.pass(ms(2_000));
    stage.probed(false, "status 503");
    stage.pass(ms(2_000));
    let first = stage.file.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for end in first..=stage.file.len() {
        let journal = Journal::read(&stage.file[..end]).unwrap();
        let line_begin = stage.file[..end].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
        assert_eq!(journal.cut, end - line_begin);
        // Whatever was read can be gone on with.
        let metrics = Metrics::new(1);
        metrics.restore(journal, stage.now, stage.wall);
    }
    for end in 1..first {
        assert!(Journal::read(&stage.file[..end]).is_err(), "never written over");
    }
}

/// Numbers that nobody wrote, but that a disk may give back.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(u64::MAX - 1), 0..1_000_000_000_000u64]
}

/// What is cut off may hold every stamp of the wall clock.
#[test]
fn a_journal_that_lost_its_stamps_ages_no_budget() {
    let mut stage = Stage::new();
    stage.requests(200, 90);
    stage.requests(503, 10);
    stage.pass(ms(2_000));
    stage.process.metrics.tick(stage.now, stage.wall);
    let whole = stage.process.metrics.journal(stage.now, stage.wall, true);
    let tick = whole.windows(7).rposition(|bytes| bytes == b"{\"tick\"").unwrap();
    let metrics = Metrics::new(1);
    metrics.restore(Journal::read(&whole[..tick]).unwrap(), stage.now, stage.wall);
    stage.process = Process::start(metrics, stage.now);
    let burn = stage.process.pool.account().budgets(stage.now).unwrap().availability.unwrap();
    assert!((burn.rates[0] - 10.0).abs() < 1e-9 && burn.remaining < 0.0, "{burn:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever numbers stand in a journal, it can be read, gone on with, and written.
    #[test]
    fn no_number_in_a_journal_stops_the_next_process(n in prop::collection::vec(number(), 24), id in any::<u32>()) {
        let outages = serde_json::json!([{ "begin_ms": n[0], "end_ms": null, "lasted_us": n[1], "cause": "x",
            "failure": true, "failed_requests": n[2] }]);
        let ledger = serde_json::json!({ "standing": "down", "cause": "x", "stood_us": n[3], "uptime_us": n[4],
            "downtime_us": n[5], "failures": n[6], "failed": true, "repairs": n[7], "repair_us": n[8],
            "failed_requests": n[9], "outages": outages });
        let whose = serde_json::json!({ "backend": { "pool": "crm", "backend": "app1", "address": "10.0.0.1:80" } });
        let lines = [
            serde_json::json!({ "equipoise_state": 1 }),
            serde_json::json!({ "account": { "id": id, "whose": whose, "at": n[10], "kept": true, "left": null,
                "good": n[11], "failed": n[12], "ledger": ledger } }),
            serde_json::json!({ "budget": { "id": id, "availability": 0.9, "latency": [n[13], 0.5], "window": n[14],
                "rings": [[[n[15], n[16], n[17], 1, 1]], [], [], [[n[18], 1, 1, n[19], 1]]] } }),
            serde_json::json!({ "tick": { "at": n[20], "wall_ms": n[21], "counts": [[id, n[22], n[23]]],
                "spent": [[id, [n[16], n[17], n[18], n[19]]]] } }),
        ];
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let journal = Journal::read(text.as_bytes()).unwrap();
        prop_assert_eq!((journal.cut, journal.accounts()), (0, 1));
        let mut stage = Stage::new();
        let metrics = Metrics::new(1);
        metrics.restore(journal, stage.now, stage.wall);
        stage.process = Process::start(metrics, stage.now);
        stage.pass(ms(1_500));
        stage.probed(true, "check passed");
        stage.probed(false, "status 503");
        stage.pass(ms(1_500));
        stage.read();
        stage.process.metrics.render(stage.now, crate::observe::Form::Text).unwrap();
        prop_assert_eq!(Journal::read(&stage.process.metrics.journal(stage.now, stage.wall, true)).unwrap().cut, 0);
    }
}
