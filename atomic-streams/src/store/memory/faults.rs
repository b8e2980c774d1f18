//! What is to go wrong next.

use std::collections::VecDeque;

use crate::protocol::{Failure, Transient};
use crate::store::StoreError;

/// Faults that a test has ordered.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// What happens to the next commits, one each.
    pub commits: VecDeque<CommitFault>,
    pub unavailable: bool,
    pub out_of_memory: bool,
    /// Connections with numbers below this are dead.
    pub cut_below: u64,
}

/// What happens to one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitFault {
    /// It is answered with this; nothing of it is applied.
    Refuse(Failure),
    /// It is applied, and the connection breaks before its reply.
    LoseReply,
}

impl Faults {
    /// Whether a connection can carry anything; a new one has the number that comes next.
    pub fn check_connection(&self, number: u64) -> Result<(), StoreError> {
        if self.unavailable {
            Err(connection_lost("the server cannot be reached"))
        } else if number < self.cut_below {
            Err(connection_lost("the connection was cut"))
        } else {
            Ok(())
        }
    }

    /// Whether a command that needs memory passes.
    pub fn check_memory(&self) -> Result<(), StoreError> {
        if self.out_of_memory {
            return Err(StoreError {
                failure: Failure::Transient(Transient::OutOfMemory),
                words: "OOM command not allowed when used memory > 'maxmemory'.".into(),
                source: None,
            });
        }
        Ok(())
    }
}

impl CommitFault {
    /// What the sender sees.
    pub fn error(self) -> StoreError {
        match self {
            Self::LoseReply => connection_lost("the connection broke before the reply"),
            Self::Refuse(failure) => {
                let words = match failure {
                    Failure::Transient(why) => why.to_string(),
                    Failure::Permanent(why) => format!("refused: {why:?}"),
                };
                StoreError { failure, words, source: None }
            }
        }
    }
}

/// Whether nothing more is heard from a connection on which this happened.
pub(super) fn is_broken(error: &StoreError) -> bool {
    matches!(error.failure, Failure::Transient(Transient::ConnectionLost | Transient::TimedOut))
}

pub(super) fn connection_lost(words: &str) -> StoreError {
    StoreError { failure: Failure::Transient(Transient::ConnectionLost), words: words.into(), source: None }
}
