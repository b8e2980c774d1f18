//! Settings that cannot work do not build.

use super::ConsumerBuilder;
use crate::consumer::{Coalescing, Settings};
use crate::error::{Error, ErrorKind};
use crate::protocol::{Subscription, Timing};
use crate::retry::{OnFailure, RetryPolicy};

impl<H> ConsumerBuilder<H> {
    /// What the consumer goes by, if all of it can work.
    pub(super) fn settings(&self) -> Result<Settings, Error> {
        let subscription = Subscription::new(&self.stream, &self.group)
            .map_err(|error| Error::new(ErrorKind::InvalidConfig, error.to_string()).with_source(error))?;
        let invalid = |text: String| Err(Error::new(ErrorKind::InvalidConfig, text).of(&self.stream, &self.group));
        if self.lease < Timing::MIN_LEASE || self.lease > Timing::MAX_LEASE {
            return invalid(format!(
                "a lease of {:?} cannot work: choose one between {:?} and {:?}",
                self.lease,
                Timing::MIN_LEASE,
                Timing::MAX_LEASE
            ));
        }
        if self.owner.as_deref().is_some_and(str::is_empty) {
            return invalid("an empty owner name says nothing: choose another, or leave it to the library".to_owned());
        }
        if self.max_in_flight == 0 {
            return invalid("max_in_flight(0) would never commit: choose 1 or more".to_owned());
        }
        let timing = Timing { lease: self.lease };
        if let Some(Coalescing { max_messages, longest_wait }) = self.coalescing {
            if max_messages == 0 {
                return invalid("coalesce with 0 messages would never commit: choose 1 or more".to_owned());
            }
            if longest_wait > timing.renew_every() {
                return invalid(format!(
                    "coalesce cannot wait for {longest_wait:?}: every renewal commits what waits, and a lease of {:?} is \
                     renewed every {:?}; choose a shorter wait or a longer lease",
                    self.lease,
                    timing.renew_every()
                ));
            }
        }
        if self.read_ahead_entries == 0 || self.read_ahead_bytes == 0 {
            return invalid("read_ahead with 0 would never read: choose 1 entry and 1 byte or more".to_owned());
        }
        if let Some(problem) = self.durability.problem(timing.durable_wait()) {
            return invalid(problem);
        }
        if let Some(problem) = self.problem_with_failures() {
            return invalid(problem);
        }
        Ok(Settings {
            stream: self.stream.as_str().into(),
            group: self.group.as_str().into(),
            subscription,
            owner: self.owner.clone().unwrap_or_else(host_and_process),
            timing,
            start: self.start,
            permissions: self.permissions,
            grace_period: self.grace_period,
            max_in_flight: self.max_in_flight,
            coalescing: self.coalescing,
            read_ahead_entries: self.read_ahead_entries,
            read_ahead_bytes: self.read_ahead_bytes,
            allow_eviction: self.allow_eviction,
            durability: self.durability,
            retry: self.retry,
            on_failure: self.on_failure.clone(),
            max_crashes: self.max_crashes,
        })
    }

    /// What cannot work in `retry` and `on_failure`.
    fn problem_with_failures(&self) -> Option<String> {
        let RetryPolicy { backoff, max_attempts } = self.retry;
        if backoff.first.is_zero() || backoff.first > backoff.longest {
            return Some(format!(
                "pauses that begin with {:?} cannot grow to {:?}: begin with more than nothing and no more than the longest",
                backoff.first, backoff.longest
            ));
        }
        if self.max_crashes == 0 {
            return Some("max_crashes(0) would never try an entry: choose 1 or more".to_owned());
        }
        match (max_attempts, &self.on_failure) {
            (Some(0), _) => Some("max_attempts(0) would never try an entry: choose 1 or more".to_owned()),
            (Some(_), OnFailure::Block) => Some(
                "max_attempts says when to give an entry up, and nothing says what then: call `on_failure` with a dead-letter \
                 stream, `Skip` or `Stop`"
                    .to_owned(),
            ),
            (_, OnFailure::Park { field, .. }) if crate::name::problem(field).is_some() => {
                let problem = crate::name::problem(field).unwrap_or_default();
                let shown: String = field.chars().take(64).collect();
                Some(format!("the name {shown:?} of the field whose value is the key {problem}"))
            }
            (_, OnFailure::DeadLetter(letters) | OnFailure::Park { letters, .. }) => match crate::name::stream_problem(letters) {
                Some(problem) => {
                    let shown: String = letters.chars().take(64).collect();
                    Some(format!("the dead-letter stream's name {shown:?} {problem}"))
                }
                None => (*letters == self.stream).then(|| {
                    "the dead-letter stream cannot be the input itself, where its entries would fail again: choose another"
                        .to_owned()
                }),
            },
            _ => None,
        }
    }
}

fn host_and_process() -> String {
    let host = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    format!("{}/{}", host.as_deref().map_or("host", str::trim), std::process::id())
}
