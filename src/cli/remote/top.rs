//! `equipoise top`: the dashboard in a terminal.
//!
//! It lives on what the dashboard in a browser lives on, the stream of the admin endpoint, and orders by the same calls as
//! `equipoise drain` and its like. `state` and what belongs to it are pure; `view` draws them; `feed` is the network,
//! `screen` the terminal.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{Event, KeyEventKind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval};

use super::{Endpoint, Failure, complain, finish, output, runtime};
use crate::config;

mod column;
mod feed;
mod keys;
mod order;
mod routes;
mod screen;
mod state;
mod table;
mod told;
mod view;
mod words;

#[cfg(test)]
mod tests;

use feed::News;
use keys::Task;
use screen::Screen;
use state::State;

/// Wrong usage, as of the command line.
const EXIT_USAGE: u8 = 2;
/// The shortest and the longest `--interval`: there is no news more often, and less often nobody looks.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
/// News that waits to be taken; the feed waits when there is more.
const MAX_NEWS: usize = 4;
/// How often the screen is drawn where nothing happens: it tells how long ago the balancer was heard.
const TICK: Duration = Duration::from_secs(1);

/// `equipoise top`
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct TopArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // clap would print it as the command's own text
    pub endpoint: Endpoint,
    /// How often the picture changes: 1s to 60s; the balancer tells what holds once a second, no more often
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval_of)]
    pub interval: Duration,
}

/// Shows a running balancer until it is told to quit. 0 then; 1 where the balancer cannot be asked at the beginning, or the
/// terminal fails; 2 where there is none.
pub(in crate::cli) fn top(args: &TopArgs) -> ExitCode {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        complain(
            "equipoise: `top` needs a terminal; `equipoise status` prints the same once, also into a pipe\n",
        );
        return ExitCode::from(EXIT_USAGE);
    }
    if output::is_dumb() {
        complain("equipoise: `top` needs a terminal that can be drawn on, and TERM is `dumb`\n");
        return ExitCode::from(EXIT_USAGE);
    }
    finish(runtime().and_then(|runtime| LocalSet::new().block_on(&runtime, show(args))))
}

async fn show(args: &TopArgs) -> Result<ExitCode, Failure> {
    // What is wrong from the beginning is told where it can be read afterwards.
    feed::greet(&args.endpoint).await?;
    let mut ends = Ends::new().map_err(Failure::Terminal)?;
    let mut screen = Screen::take().map_err(Failure::Terminal)?;
    let ended = watch(args, &mut screen, &mut ends).await;
    drop(screen);
    ended.map_err(Failure::Terminal)?;
    Ok(ExitCode::SUCCESS)
}

async fn watch(args: &TopArgs, screen: &mut Screen, ends: &mut Ends) -> io::Result<()> {
    let mut keys = screen::keys()?;
    let (sender, mut news) = mpsc::channel(MAX_NEWS);
    spawn_local(feed::follow(args.endpoint.clone(), sender.clone()));
    let mut state = State::new(args.endpoint.admin.clone(), args.interval, Instant::now());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        screen.draw(&mut state, Instant::now())?;
        tokio::select! {
            () = ends.told() => return Ok(()),
            _ = ticks.tick() => {}
            Some(one) = news.recv() => hear_all(&mut state, one, &mut news),
            key = keys.recv() => {
                let Some(key) = key else { return Ok(()) };
                match pressed(&mut state, key?) {
                    Some(Task::Quit) => return Ok(()),
                    Some(Task::Order(order)) => {
                        spawn_local(feed::give(args.endpoint.clone(), order, sender.clone()));
                    }
                    None => {}
                }
            }
        }
    }
}

/// All that is there, so that it is drawn once.
fn hear_all(state: &mut State, first: News, news: &mut mpsc::Receiver<News>) {
    state.hear(first, Instant::now());
    for _ in 0..MAX_NEWS {
        let Ok(next) = news.try_recv() else { break };
        state.hear(next, Instant::now());
    }
}

fn pressed(state: &mut State, event: Event) -> Option<Task> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => state.press(key),
        // Another size is found when it is drawn.
        _ => None,
    }
}

/// The signals that end it. The terminal's own Ctrl-C comes as a key.
struct Ends([Signal; 3]);

impl Ends {
    fn new() -> io::Result<Self> {
        let of = |kind| signal(kind);
        Ok(Self([of(SignalKind::terminate())?, of(SignalKind::interrupt())?, of(SignalKind::hangup())?]))
    }

    async fn told(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

fn interval_of(text: &str) -> Result<Duration, String> {
    let found = config::duration(text)?;
    if INTERVALS.contains(&found) { Ok(found) } else { Err("expected 1s to 60s".to_owned()) }
}
