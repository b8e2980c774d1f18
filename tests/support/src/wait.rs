//! The one place where tests wait.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

const LIMIT: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(5);

/// What a condition given to [`eventually`] answers: `bool`, or `Option` with what was waited for.
pub trait Outcome {
    /// What [`eventually`] returns.
    type Value;

    /// The value, once the condition holds.
    fn reached(self) -> Option<Self::Value>;
}

impl Outcome for bool {
    type Value = ();

    fn reached(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;

    fn reached(self) -> Option<T> {
        self
    }
}

/// Waits until `condition` holds, and panics naming `what` if it does not within 20 seconds, also where the condition
/// itself hangs.
pub async fn eventually<O: Outcome>(what: &str, condition: impl AsyncFnMut() -> O) -> O::Value {
    eventually_within(LIMIT, what, condition).await
}

/// The same with another limit, for what moves hundreds of megabytes.
pub async fn eventually_within<O: Outcome>(
    limit: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> O,
) -> O::Value {
    let patience = Patience::new(limit);
    while let Ok(outcome) = timeout_at(patience.deadline, condition()).await {
        if let Some(value) = outcome.reached() {
            return value;
        }
        if !patience.lasts().await {
            break;
        }
    }
    panic!("waited {} s in vain for this: {what}", limit.as_secs())
}

/// The pace and the end of a wait: `while !condition { if !patience.lasts().await { fail } }`.
///
/// [`eventually`] is not for this crate's own use: a future with an async closure in it is `Send` only where it is
/// awaited directly, and tests start servers in tasks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    deadline: Instant,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { deadline: Instant::now() + limit }
    }

    /// Waits a little; false when the time is up.
    pub(crate) async fn lasts(&self) -> bool {
        sleep(INTERVAL).await;
        Instant::now() < self.deadline
    }
}
