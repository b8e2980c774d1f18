//! How long to wait before the next try, how often to try, and what then.

use std::time::Duration;

/// Pauses that double with every failure, up to a longest one, each drawn between half and the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// Between tries of one entry.
    pub const HANDLER: Self = Self { first: Duration::from_millis(100), longest: Duration::from_secs(30) };

    /// Between attaches after a failure.
    pub const ATTACH: Self = Self { first: Duration::from_millis(20), longest: Duration::from_secs(2) };

    /// The pause after failure number `failures`, counted from 1. `random` spreads those who failed together.
    pub fn pause(self, failures: u32, random: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        let share = (random >> 11) as f64 / (1_u64 << 53) as f64;
        whole.mul_f64(0.5 + share / 2.0)
    }
}

/// How a failed entry is tried again, for [`ConsumerBuilder::retry`](crate::ConsumerBuilder::retry).
///
/// The entries behind it wait: a retry never changes their order.
///
/// ```
/// use atomic_streams::RetryPolicy;
/// use std::time::Duration;
///
/// let policy = RetryPolicy::exponential(Duration::from_millis(200), Duration::from_secs(10)).max_attempts(5);
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    pub(crate) backoff: Backoff,
    pub(crate) max_attempts: Option<u32>,
}

impl RetryPolicy {
    /// Pauses that begin with `first` and double up to `longest`. Each is drawn at random between half of that and the whole,
    /// so that consumers which failed together do not try again together.
    ///
    /// A [`HandlerError`](crate::HandlerError) that says itself when to try again is obeyed instead.
    #[must_use]
    pub const fn exponential(first: Duration, longest: Duration) -> Self {
        Self { backoff: Backoff { first, longest }, max_attempts: None }
    }

    /// Gives an entry up when it has been tried so often in vain. What then is for
    /// [`on_failure`](crate::ConsumerBuilder::on_failure) to say, which must be called too.
    ///
    /// Commits that the server refuses count as tries. Tries are counted in memory: a new process begins anew, and so a
    /// process that dies of the entry is counted apart, by [`max_crashes`](crate::ConsumerBuilder::max_crashes).
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }
}

/// From 100 ms to 30 s, for as long as it takes.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self { backoff: Backoff::HANDLER, max_attempts: None }
    }
}

/// What becomes of an entry that cannot be handled, for [`ConsumerBuilder::on_failure`](crate::ConsumerBuilder::on_failure).
///
/// It cannot be handled when its handler says so ([`HandlerError::permanent`](crate::HandlerError::permanent)), when it does
/// not decode, when [`RetryPolicy::max_attempts`] tries have failed, or when
/// [`max_crashes`](crate::ConsumerBuilder::max_crashes) tries have killed the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// It is tried again at the longest pause, and those behind it wait: a newer build may handle it. The default.
    #[default]
    Block,
    /// It goes to this stream, with what is to be known about the failure, in the commit that moves the position past it:
    /// it is in the one or the other, whatever crashes. See [`DeadLetter`](crate::DeadLetter).
    ///
    /// The stream lies on the same server (in a cluster, in the same slot: give both names one hash tag). Where it cannot be
    /// written, the consumer ends with an error, and the entry is where it was.
    DeadLetter(String),
    /// As [`DeadLetter`](Self::DeadLetter), and later entries of the same key follow the failed one into that stream, in order,
    /// until the key is [unparked](crate::DeadLetters::unpark): what is done for a key is done in its order, whatever fails.
    /// Entries of other keys go on.
    ///
    /// The key is the value of the entry's first field of the name `field`, its bytes as they are. An entry without such a field
    /// has no key: it becomes an ordinary dead letter, and nothing follows it.
    ///
    /// That a key is parked is noted in the same commit as the letter. Each later entry of the key becomes a dead letter in the
    /// commit that moves the position past it, without being tried: its `attempts` are 0, and
    /// [`parked_behind`](crate::DeadLetter::parked_behind) names the entry that failed. When the cause is gone,
    /// [`DeadLetters::unpark`](crate::DeadLetters::unpark) has the consumer handle the letters of the key, in order, before
    /// any later entry of that key.
    ///
    /// The consumer keeps the parked keys in memory: at most [`MAX_PARKED_KEYS`](crate::dead_letters::MAX_PARKED_KEYS), of at
    /// most [`MAX_KEY_BYTES`](crate::dead_letters::MAX_KEY_BYTES) each. At an entry that would park one more, or a longer one, it
    /// ends with [`ErrorKind::EntryFailed`](crate::ErrorKind::EntryFailed), and the entry is where it was. A consumer with other
    /// settings here than those by which keys are parked does not start before all of them are unparked: it would not keep their
    /// order.
    Park {
        /// The dead-letter stream; in a cluster, in the same slot as the input.
        letters: String,
        /// The name of the field whose value is the key.
        field: String,
    },
    /// It is left out, with a warning in the log: the position moves past it.
    Skip,
    /// The consumer commits what came before it, releases its lease and ends with
    /// [`ErrorKind::EntryFailed`](crate::ErrorKind::EntryFailed). The next start tries it again.
    Stop,
}

impl OnFailure {
    /// [`DeadLetter`](Self::DeadLetter) with this stream.
    pub fn dead_letter(stream: impl Into<String>) -> Self {
        Self::DeadLetter(stream.into())
    }

    /// [`Park`](Self::Park) with this dead-letter stream, by the value of this field.
    pub fn park(letters: impl Into<String>, field: impl Into<String>) -> Self {
        Self::Park { letters: letters.into(), field: field.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let whole = |failures| Backoff::HANDLER.pause(failures, u64::MAX).as_secs_f64().mul_add(1_000.0, 0.5) as u64;
        assert_eq!([whole(1), whole(2), whole(3)], [100, 200, 400]);
        assert_eq!([whole(60), whole(u32::MAX)], [30_000, 30_000]);
    }

    #[test]
    fn no_pause_is_below_half() {
        assert_eq!(Backoff::HANDLER.pause(1, 0), Duration::from_millis(50));
        assert!(Backoff::HANDLER.pause(u32::MAX, 0) >= Duration::from_secs(15));
    }
}
