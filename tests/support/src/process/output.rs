//! The lines a child process writes.

use std::io::{BufRead, BufReader, Read};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    /// The streams not yet at their end.
    open: usize,
}

#[derive(Debug)]
pub(super) struct Output(watch::Receiver<Written>);

impl Output {
    /// Reads on threads of its own, so that the child never waits for a busy test.
    pub(super) fn capture(
        stdout: Option<impl Read + Send + 'static>,
        stderr: Option<impl Read + Send + 'static>,
    ) -> Self {
        let (sender, receiver) = watch::channel(Written { lines: Vec::new(), open: 2 });
        let other = sender.clone();
        thread::spawn(move || read(stdout, &sender));
        thread::spawn(move || read(stderr, &other));
        Self(receiver)
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.borrow().lines.clone()
    }

    /// Waits until `find` finds something; `None` when the output ends or `limit` passes without.
    pub(super) async fn wait_for<T>(&self, limit: Duration, find: impl Fn(&[String]) -> Option<T>) -> Option<T> {
        let mut receiver = self.0.clone();
        let mut found = None;
        let search = receiver.wait_for(|written| {
            found = find(&written.lines);
            found.is_some() || written.open == 0
        });
        let _ = timeout(limit, search).await;
        found
    }

    /// Waits for the end of both streams.
    pub(super) async fn complete(&self, limit: Duration) {
        let mut receiver = self.0.clone();
        let _ = timeout(limit, receiver.wait_for(|written| written.open == 0)).await;
    }
}

fn read(stream: Option<impl Read>, written: &watch::Sender<Written>) {
    let mut stream = BufReader::new(stream.expect("the output is a pipe"));
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        written.send_modify(|w| w.lines.push(text));
        line.clear();
    }
    written.send_modify(|w| w.open -= 1);
}
