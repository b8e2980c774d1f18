//! How a handler says that it failed, and what is to be done about it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What a handler returns.
pub type HandlerResult<T = ()> = Result<T, HandlerError>;

/// Why an entry could not be handled.
///
/// Any error becomes one with `?`, and is then retried with growing pauses for as long as it takes, or as often as
/// [`RetryPolicy::max_attempts`](crate::RetryPolicy::max_attempts) says.
///
/// ```
/// use atomic_streams::{HandlerError, HandlerResult};
/// use std::time::Duration;
///
/// fn price(text: &str) -> HandlerResult<u32> {
///     Ok(text.parse()?)
/// }
///
/// fn check(code: u16) -> HandlerResult {
///     match code {
///         200 => Ok(()),
///         429 => Err(HandlerError::retry_after("too many requests", Duration::from_secs(5))),
///         _ => Err(HandlerError::permanent("refused for good")),
///     }
/// }
/// # assert!(price("x").is_err() && check(200).is_ok());
/// ```
///
/// It does not implement [`Error`] itself: that would forbid the conversion from every error.
pub struct HandlerError {
    source: Box<dyn Error + Send + Sync>,
    retry: Retry,
}

/// When a failed entry is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// After a pause that grows with every attempt.
    Backoff,
    /// After this time.
    After(Duration),
    /// Trying again will not help. What then, [`OnFailure`](crate::OnFailure) says. By default the entry blocks the
    /// subscription, is shown in the status, and is tried again at the longest pause, as a newer build may handle it.
    Never,
}

impl HandlerError {
    /// An error that trying again will not cure.
    pub fn permanent(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: error.into(), retry: Retry::Never }
    }

    /// An error that is to be tried again after this time.
    pub fn retry_after(error: impl Into<Box<dyn Error + Send + Sync>>, pause: Duration) -> Self {
        Self { source: error.into(), retry: Retry::After(pause) }
    }

    /// When the entry is tried again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// The error that the handler returned.
    #[must_use]
    pub fn source(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { source: error.into(), retry: Retry::Backoff }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let words = error.to_string();
            // Many errors say themselves what caused them.
            if !text.ends_with(&words) {
                text.push_str(": ");
                text.push_str(&words);
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError").field("source", &self.source).field("retry", &self.retry).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("no price: {0}")]
        Says(#[from] std::num::ParseIntError),
        #[error("no price")]
        KeepsToItself(#[source] std::num::ParseIntError),
    }

    #[test]
    fn every_cause_is_shown_once() {
        let inner = || "x".parse::<u8>().unwrap_err();
        let shown = "no price: invalid digit found in string";
        assert_eq!(HandlerError::from(Outer::Says(inner())).to_string(), shown);
        assert_eq!(HandlerError::from(Outer::KeepsToItself(inner())).to_string(), shown);
    }
}
