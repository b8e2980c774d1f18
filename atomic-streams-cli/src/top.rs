//! `top`: a live view of all subscriptions.
//!
//! Three layers that know nothing of each other meet in the loop below, which alone knows terminal and clock: `data` asks the
//! server and returns a plain `snapshot`; `drawing` makes a frame of the `model`; `keys` say what a key changes in it.
//!
//! | where | what |
//! |---|---|
//! | `snapshot` | what a look shows, as plain values |
//! | `history` | rates and plots, from successive looks |
//! | `model`, `order`, `layout` | all that a frame depends on: figures, place, sorting, filter |
//! | `plan` | what is asked next, and when |
//! | `data` | asks |
//! | `drawing` | draws |
//! | `keys` | what a key does |
//! | `terminal`, `signals` | taking the terminal, and giving it back |
//! | `once` | one frame as text |

mod data;
mod drawing;
mod history;
mod keys;
mod layout;
mod model;
mod once;
mod options;
mod order;
mod plan;
#[cfg(test)]
mod sample;
mod signals;
mod snapshot;
mod terminal;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::Event;
use serde::Serialize;
use tokio::task::{JoinError, JoinHandle};

use self::data::{Clock, Search, Watch};
use self::drawing::{Pen, draw, last_line};
use self::keys::{Action, press};
use self::layout::Size;
use self::model::{Model, Now, Place};
pub use self::options::TopArgs;
use self::plan::{Rounds, Schedule};
use self::signals::{Signalled, Signals};
use self::snapshot::{Discovery, Snapshot};
use self::terminal::{Terminal, events};
use crate::connect::Server;
use crate::exit::{Exit, Failure};
use crate::view::{Look, Screen, Show};

/// Columns of a frame that is printed where there is no terminal to fit.
const PRINTED_WIDTH: u16 = 160;

/// How often the screen is drawn where nothing happens: it says how long ago things were.
const TICK: Duration = Duration::from_secs(1);

const MAX_NAMED: usize = 50;

/// What is left on standard output: a frame, if one was asked for.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Printed(String);

impl Show for Printed {
    fn text(&self, _: &Look) -> String {
        self.0.clone()
    }
}

/// Shows it until the viewer has seen enough.
pub async fn run(server: Server, args: &TopArgs, screen: &Screen) -> Result<Printed, Failure> {
    if screen.is_json() {
        return Err(Failure::usage("top is for people: `atomic-streams ls --json` has the same for programs"));
    }
    if args.letter_streams.len() > MAX_NAMED {
        return Err(Failure::usage(format!("--dead-letters can be given up to {MAX_NAMED} times")));
    }
    let look = screen.look();
    let pen = Pen { colors: look.colors, unicode: speaks_unicode() };
    let size = Size { width: look.width.unwrap_or(PRINTED_WIDTH), height: 0 };
    let mut model = Model::new(server.name(), args.every, args.sort, size);
    model.filter.clone_from(&args.filter);
    let (server, named) = (Arc::new(server), args.letter_streams.clone());
    let start = Instant::now();
    let clock: Clock = Arc::new(move || start.elapsed());
    if args.once {
        return Ok(Printed(once::once(&server, model, named, clock, || screen.look().now_ms, pen).await?));
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "top draws on a terminal and reads keys from it, and here is none: --once prints one frame as text",
        ));
    }
    let failed = |error: io::Error| Failure::new(Exit::Failed, format!("the terminal cannot be used: {error}"));
    let calendar = || screen.look().now_ms;
    let asking = Asking::new(&server, named, Arc::clone(&clock))?;
    let mut live =
        Live { model, pen, clock, calendar, asking, schedule: Schedule::default(), rounds: Rounds::default() };
    live.run().await.map_err(failed)?;
    Ok(Printed(String::new()))
}

/// Whether the locale says that characters beyond ASCII can be shown.
fn speaks_unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|set| !set.is_empty()));
    set.is_some_and(|set| {
        let set = set.to_ascii_lowercase();
        set.contains("utf-8") || set.contains("utf8")
    })
}

struct Live<C> {
    model: Model,
    pen: Pen,
    clock: Clock,
    /// The time in ms.
    calendar: C,
    asking: Asking,
    schedule: Schedule,
    rounds: Rounds,
}

impl<C: Fn() -> u64> Live<C> {
    async fn run(&mut self) -> io::Result<()> {
        let mut signals = Signals::listen()?;
        let mut terminal = Terminal::take()?;
        let mut events = events()?;
        loop {
            self.draw(&mut terminal)?;
            self.ask();
            let now = (self.clock)();
            let wakes_at = self.schedule.wakes_at(self.model.has_looked).filter(|_| !self.model.is_paused);
            let pause = wakes_at.map_or(TICK, |wakes_at| wakes_at.saturating_sub(now).min(TICK));
            let action = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.event(event?),
                    None => return Ok(()),
                },
                signalled = signals.next() => match signalled {
                    Signalled::End => return Ok(()),
                    Signalled::Continued => { terminal.take_again()?; None }
                },
                answer = self.asking.answer() => { self.answered(answer?); None }
                () = tokio::time::sleep(pause) => None,
            };
            match action {
                Some(Action::Quit) => return Ok(()),
                Some(Action::Suspend) => {
                    terminal.give_back();
                    signals.suspend().await?;
                    terminal.take_again()?;
                }
                Some(Action::Redraw) => terminal.clear()?,
                Some(Action::Ask) => self.schedule.hurry(),
                None => {}
            }
        }
    }

    fn draw(&mut self, terminal: &mut Terminal) -> io::Result<()> {
        let (width, height) = terminal.size()?;
        let model = &mut self.model;
        model.size = Size { width, height };
        model.now = Now { at: (self.clock)(), ms: (self.calendar)() };
        model.asked_at = self.schedule.asked_at();
        model.settle();
        let last = last_line(model, self.pen);
        if let Place::One(_, line) = &mut model.place {
            *line = last.min(*line);
        }
        terminal.draw(|frame| draw(model, self.pen, frame))
    }

    fn event(&mut self, event: Event) -> Option<Action> {
        match event {
            Event::Key(key) => press(&mut self.model, key),
            // The next frame has the new size.
            _ => None,
        }
    }

    /// Asks for what is due.
    fn ask(&mut self) {
        if self.model.is_paused {
            return;
        }
        let now = (self.clock)();
        if self.schedule.begins_search(now) {
            self.asking.search();
        }
        if self.model.has_looked && self.schedule.begins_round(now) {
            let ask = self.rounds.next(&self.model);
            self.asking.round(ask);
        }
    }

    fn answered(&mut self, answer: Answer) {
        let now = Now { at: (self.clock)(), ms: (self.calendar)() };
        self.model.now = now;
        match answer {
            Answer::Round(round) => {
                self.schedule.round_ended(now.at, self.model.every);
                match round {
                    Ok(snapshot) => self.model.see(snapshot),
                    Err(why) => self.model.fail(now, why),
                }
            }
            Answer::Search(search) => {
                self.schedule.search_ended(now.at, search.is_ok());
                match search {
                    Ok(found) => self.model.found(found),
                    Err(why) => self.model.not_found(now, why),
                }
            }
        }
    }
}

enum Answer {
    Round(Result<Snapshot, String>),
    Search(Result<Discovery, String>),
}

/// The two questions, each asked by a task of its own while the loop goes on.
struct Asking {
    watch: Side<Watch, Snapshot>,
    search: Side<Search, Discovery>,
    letter_streams: Option<Vec<String>>,
}

/// Who asks, or the task that it is in.
enum Side<A, T> {
    Idle(Option<A>),
    Busy(JoinHandle<(A, Result<T, String>)>),
}

impl<A, T> Side<A, T> {
    fn take(&mut self) -> Option<A> {
        match self {
            Self::Idle(asker) => asker.take(),
            Self::Busy(_) => None,
        }
    }

    /// Cancel safe. For ever, where nothing was asked.
    async fn answer(&mut self) -> Result<Result<T, String>, JoinError> {
        match self {
            Self::Idle(_) => std::future::pending().await,
            Self::Busy(task) => {
                let (asker, answer) = task.await?;
                *self = Self::Idle(Some(asker));
                Ok(answer)
            }
        }
    }
}

impl Asking {
    fn new(server: &Arc<Server>, named: Vec<String>, clock: Clock) -> Result<Self, Failure> {
        let (watch, search) = (Watch::new(server, clock)?, Search::new(server, named)?);
        Ok(Self { watch: Side::Idle(Some(watch)), search: Side::Idle(Some(search)), letter_streams: None })
    }

    fn round(&mut self, ask: plan::Ask) {
        if let Some(mut watch) = self.watch.take() {
            let streams = self.letter_streams.clone();
            self.watch = Side::Busy(tokio::spawn(async move {
                let answer = watch.round(&ask, streams.as_deref()).await;
                (watch, answer)
            }));
        }
    }

    fn search(&mut self) {
        if let Some(mut search) = self.search.take() {
            self.search = Side::Busy(tokio::spawn(async move {
                let answer = search.run().await;
                (search, answer)
            }));
        }
    }

    /// Cancel safe.
    async fn answer(&mut self) -> io::Result<Answer> {
        let answer = tokio::select! {
            round = self.watch.answer() => Answer::Round(round?),
            search = self.search.answer() => Answer::Search(search?),
        };
        if let Answer::Search(Ok(found)) = &answer {
            self.letter_streams.clone_from(&found.letter_streams);
        }
        Ok(answer)
    }
}
