//! Whether a consumer does its work, for probes.

use std::fmt;
use std::time::Duration;

use crate::consumer::Status;

/// Whether a consumer does its work, and why not; from [`ConsumerHandle::health`](crate::ConsumerHandle::health).
///
/// | the consumer | ready | live |
/// |---|---|---|
/// | is active, or tries an entry again | yes | yes |
/// | stands by | yes | yes |
/// | has not attached yet | no | yes |
/// | recovers, for at most [`RECOVERY`](Self::RECOVERY) so far | yes | yes |
/// | recovers for longer | no | yes |
/// | has ended | no | no |
///
/// **Ready** says that nothing has to be waited for: a rolling restart may go on with the next process. A standby is ready, since
/// it takes over without being asked. An entry that fails again and again does not make its consumer unready: no other process
/// would do better, and there is an alert for it (`atomic_streams_failed_total`).
///
/// **Live** says that a restart would not help. A server that cannot be reached comes back without one; a consumer that was stopped
/// by an error stays stopped.
///
/// ```no_run
/// # use atomic_streams::ConsumerHandle;
/// # use std::sync::Arc;
/// use tokio::io::AsyncWriteExt;
/// use tokio::net::TcpListener;
///
/// /// Answers every request with 200 where the consumer is ready, else with 503, and says why.
/// async fn serve_probe(consumer: Arc<ConsumerHandle>) -> std::io::Result<()> {
///     let listener = TcpListener::bind("0.0.0.0:8080").await?;
///     loop {
///         let (mut socket, _) = listener.accept().await?;
///         let health = consumer.health();
///         let status = if health.is_ready() { "200 OK" } else { "503 Service Unavailable" };
///         let reply = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{health}\n");
///         // A probe that has gone away is asked for nothing.
///         let _ = socket.write_all(reply.as_bytes()).await;
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    ready: bool,
    live: bool,
    reason: String,
}

impl Health {
    /// How long a consumer may recover and still count as ready: 30 seconds, in which a server restarts or fails over.
    pub const RECOVERY: Duration = Duration::from_secs(30);

    /// Whether it is active or stands by, or was so a moment ago.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// What it does, in words; [`Display`](fmt::Display) writes the same.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn ended(why: &str) -> Self {
        Self { ready: false, live: false, reason: format!("it has ended: {why}") }
    }

    /// `lost_for`: for how long it has been neither active nor standby.
    pub(crate) fn of(status: &Status, was_settled: bool, lost_for: Duration, recovery: Duration) -> Self {
        let (ready, reason) = match status {
            Status::Starting => (false, "it has not attached yet".to_owned()),
            Status::Standby { owner } => (true, format!("it stands by: the owner is {owner}")),
            Status::Active => (true, "it is active".to_owned()),
            Status::Retrying { entry, attempt, error, .. } => {
                (true, format!("it is active, and tries entry {entry} again after {attempt} failures: {error}"))
            }
            Status::Recovering { reason } if !was_settled => (false, format!("it cannot attach: {reason}")),
            Status::Recovering { reason } => {
                (lost_for <= recovery, format!("it has been recovering for {} s: {reason}", lost_for.as_secs()))
            }
            Status::Stopped => return Self::ended("it has stopped"),
        };
        Self { ready, live: true, reason }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
