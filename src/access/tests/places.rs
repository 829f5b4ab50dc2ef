//! Where lines go: files, pipes, devices.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::record;
use crate::access::file::Settings;
use crate::access::format::{Format, Log, Mask, Piece};
use crate::access::{Pen, Sink};
use crate::observe::LogSeries;

fn sink(path: &Path, max_size: u64, keep: u32) -> (Arc<Sink>, Arc<LogSeries>) {
    let series = Arc::<LogSeries>::default();
    let settings = Settings { path: Some(path.into()), max_size, keep };
    (Sink::open(settings, 1, Arc::clone(&series)).unwrap(), series)
}

fn log(sink: &Arc<Sink>) -> Log {
    let pieces = [Piece::Name("unread".into()), Piece::Text("x".repeat(1000))];
    Log { format: Format::template(&pieces), mask: Mask::Nothing, sample: 1.0, sink: Arc::clone(sink) }
}

fn numbered(pen: &mut Pen, log: &Log, numbers: std::ops::Range<u32>) {
    for number in numbers {
        pen.write(log, &record(None, number.to_string().as_bytes()));
    }
}

fn numbers(path: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "whole lines only");
    text.lines().map(|line| line.split('x').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_file_is_put_away_before_it_grows_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let (sink, series) = sink(&path, 200 * 1024, 2);
    let mut pen = Pen::default();
    for part in 0..40 {
        numbered(&mut pen, &log(&sink), part * 20..part * 20 + 20);
        assert!(pen.flush());
    }
    assert!(sink.finish(Duration::from_secs(10)));
    let away = |number: u32| dir.path().join(format!("access.log.{number}"));
    let all = [away(2), away(1), path.clone()].map(|path| {
        assert!(std::fs::metadata(&path).unwrap().len() <= 200 * 1024);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o027, 0, "nobody else reads it");
        numbers(&path)
    });
    let all = all.concat();
    assert_eq!(all, (all[0]..800).collect::<Vec<_>>(), "nothing is lost in between");
    assert!(!away(3).exists(), "only two are kept");
    assert_eq!(series.drops(), 0);
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew_and_no_line_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (path, moved) = (dir.path().join("log"), dir.path().join("moved"));
    let (sink, series) = sink(&path, 0, 1);
    let mut pen = Pen::default();
    numbered(&mut pen, &log(&sink), 0..500);
    std::fs::rename(&path, &moved).unwrap();
    numbered(&mut pen, &log(&sink), 500..700);
    assert!(sink.reopen());
    numbered(&mut pen, &log(&sink), 700..1000);
    assert!(pen.flush() && sink.finish(Duration::from_secs(10)));
    assert_eq!([numbers(&moved), numbers(&path)].concat(), (0..1000).collect::<Vec<_>>());
    assert_eq!(series.drops(), 0);
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let (sink, series) = sink(&path, 0, 1);
    let mut pen = Pen::default();
    let begun = Instant::now();
    // 64 buffers of 64 KiB and the pipe's own 64 KiB are 4,200 lines or so.
    numbered(&mut pen, &log(&sink), 0..8000);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let dropped = series.drops();
    assert!((3000..5000).contains(&dropped), "{dropped}");
    assert!(!sink.finish(Duration::ZERO), "the end does not wait either");
}

#[test]
fn a_full_device_costs_lines_and_nothing_else() {
    let (sink, series) = sink(Path::new("/dev/full"), 0, 1);
    let mut pen = Pen::default();
    numbered(&mut pen, &log(&sink), 0..500);
    assert!(pen.flush() && sink.finish(Duration::from_secs(10)));
    assert_eq!(series.drops(), 500);
}

#[test]
fn a_reload_to_another_place_leaves_every_line_at_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| dir.path().join(name));
    let sinks = paths.each_ref().map(|path| sink(path, 0, 1).0);
    let mut pen = Pen::default();
    numbered(&mut pen, &log(&sinks[0]), 0..10);
    numbered(&mut pen, &log(&sinks[1]), 10..20);
    drop(pen);
    assert!(sinks.iter().all(|sink| sink.finish(Duration::from_secs(10))));
    assert_eq!(paths.map(|path| numbers(&path)), [(0..10).collect::<Vec<_>>(), (10..20).collect()]);
}

#[test]
fn what_cannot_be_opened_is_an_error() {
    let open = |path: &str| {
        Sink::open(Settings { path: Some(path.into()), max_size: 0, keep: 1 }, 1, Arc::default())
    };
    assert!(open("/").is_err() && open("/nowhere/at/all").is_err());
}

#[test]
fn a_file_that_vanished_is_begun_anew_when_it_would_be_put_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let (sink, series) = sink(&path, 200 * 1024, 2);
    let mut pen = Pen::default();
    for part in 0..15 {
        numbered(&mut pen, &log(&sink), part * 20..part * 20 + 20);
        assert!(pen.flush());
        if part == 1 {
            assert!(sink.finish(Duration::from_secs(10)));
            std::fs::remove_file(&path).unwrap();
        }
    }
    assert!(sink.finish(Duration::from_secs(10)));
    // What was written before is gone with it; what comes later is there.
    let kept = numbers(&path);
    assert_eq!(kept, (kept[0]..300).collect::<Vec<_>>());
    assert!(kept.len() < 210 && !dir.path().join("access.log.1").exists());
    assert_eq!(series.drops(), 0);
}
