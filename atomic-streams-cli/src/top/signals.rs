//! Signals that end or suspend the live view.

use std::io;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{Signal as Heard, SignalKind, signal};

/// Where nobody could continue it, a process is not stopped: then this goes on after so long.
const NOT_STOPPED: Duration = Duration::from_millis(500);

pub(super) struct Signals {
    ends: [Heard; 3],
    continued: Heard,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signalled {
    End,
    /// It was stopped and goes on: the terminal may be as others left it.
    Continued,
}

impl Signals {
    pub fn listen() -> io::Result<Self> {
        let ends = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [terminate, interrupt, hangup] = ends.map(signal);
        let continued = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
        Ok(Self { ends: [terminate?, interrupt?, hangup?], continued })
    }

    /// Cancel safe.
    pub async fn next(&mut self) -> Signalled {
        let [terminate, interrupt, hangup] = &mut self.ends;
        tokio::select! {
            _ = terminate.recv() => Signalled::End,
            _ = interrupt.recv() => Signalled::End,
            _ = hangup.recv() => Signalled::End,
            _ = self.continued.recv() => Signalled::Continued,
        }
    }

    /// Stops this process, as Ctrl-Z does with others, until it is continued.
    pub async fn suspend(&mut self) -> io::Result<()> {
        kill_process(getpid(), Signal::TSTP)?;
        // The signal may come to another thread, and so a moment later.
        let _ = tokio::time::timeout(NOT_STOPPED, self.continued.recv()).await;
        Ok(())
    }
}
