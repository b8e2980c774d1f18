//! The bound on commits that wait for their replies.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::recorder::Gauge;

/// Counts commits between staging and reply. One task stages, one settles.
#[derive(Debug)]
pub(super) struct InFlight {
    state: Mutex<State>,
    max_commits: usize,
    max_bytes: usize,
    shown: Gauge,
    left: Notify,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    commits: usize,
    bytes: usize,
    closed: bool,
    /// The staging end waits for room.
    blocked: bool,
}

/// The settling end is gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

impl InFlight {
    /// `shown` shows how many there are.
    pub fn new(max_commits: usize, max_bytes: usize, shown: Gauge) -> Self {
        Self { state: Mutex::default(), max_commits, max_bytes, shown, left: Notify::new(), filled: Notify::new() }
    }

    /// Waits until one more commit may be staged.
    pub async fn room(&self) -> Result<(), Closed> {
        loop {
            {
                let mut state = self.lock();
                if state.closed {
                    return Err(Closed);
                }
                state.blocked = state.commits >= self.max_commits || state.bytes >= self.max_bytes;
                if !state.blocked {
                    return Ok(());
                }
            }
            self.filled.notify_one();
            // A permit that was stored before this call ends the wait at once.
            self.left.notified().await;
        }
    }

    /// Waits until every commit that was staged has its reply.
    pub async fn settled(&self) -> Result<(), Closed> {
        loop {
            {
                let mut state = self.lock();
                if state.closed {
                    return Err(Closed);
                }
                state.blocked = state.commits > 0;
                if !state.blocked {
                    return Ok(());
                }
            }
            self.filled.notify_one();
            // As in `room`.
            self.left.notified().await;
        }
    }

    /// Waits until the staging end waits for room: whoever holds commits back must not do so any longer.
    pub async fn blocked(&self) {
        while !self.lock().blocked {
            // As in `room`.
            self.filled.notified().await;
        }
    }

    pub fn enter(&self, bytes: usize) {
        let mut state = self.lock();
        state.commits += 1;
        state.bytes += bytes;
        self.shown.set(state.commits as f64);
    }

    pub fn leave(&self, commits: usize, bytes: usize) {
        {
            let mut state = self.lock();
            state.commits = state.commits.saturating_sub(commits);
            state.bytes = state.bytes.saturating_sub(bytes);
            self.shown.set(state.commits as f64);
        }
        self.left.notify_one();
    }

    /// How many commits there are now; none behind a closed end.
    pub fn commits(&self) -> usize {
        let state = self.lock();
        if state.closed { 0 } else { state.commits }
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.shown.set(0.0);
        self.left.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::recorder::Labels;
    use super::*;

    fn nobody() -> Gauge {
        Labels { stream: "stream", group: "group" }.gauge("in_flight")
    }

    #[tokio::test]
    async fn staging_waits_for_room_in_commits_and_in_bytes() {
        let in_flight = Arc::new(InFlight::new(2, 100, nobody()));
        in_flight.enter(10);
        in_flight.room().await.unwrap();
        in_flight.enter(10);
        let waiting = tokio::spawn({
            let in_flight = Arc::clone(&in_flight);
            async move { in_flight.room().await }
        });
        in_flight.leave(1, 10);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        in_flight.enter(500);
        in_flight.leave(1, 10);
        let room = in_flight.room();
        tokio::pin!(room);
        assert!(std::future::poll_fn(|context| std::task::Poll::Ready(room.as_mut().poll(context).is_pending())).await);
        in_flight.leave(1, 500);
        assert_eq!(room.await, Ok(()));
    }

    #[tokio::test]
    async fn the_settling_end_hears_of_a_staging_end_that_waits() {
        let in_flight = Arc::new(InFlight::new(1, 100, nobody()));
        let is_blocked = || async {
            let mut blocked = std::pin::pin!(in_flight.blocked());
            std::future::poll_fn(|context| std::task::Poll::Ready(blocked.as_mut().poll(context).is_ready())).await
        };
        in_flight.room().await.unwrap();
        in_flight.enter(10);
        assert!(!is_blocked().await, "nobody has asked for more room");
        let waiting = tokio::spawn({
            let in_flight = Arc::clone(&in_flight);
            async move { in_flight.room().await }
        });
        in_flight.blocked().await;
        in_flight.leave(1, 10);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert!(!is_blocked().await, "what was said before counts no more");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_closed_end() {
        let in_flight = InFlight::new(1, 1, nobody());
        in_flight.enter(1);
        assert_eq!(in_flight.commits(), 1);
        in_flight.close();
        assert_eq!(in_flight.commits(), 0);
        assert_eq!(in_flight.room().await, Err(Closed));
    }
}
