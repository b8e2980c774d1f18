//! How it went, for people in words and for scripts in a number.

use std::fmt;
use std::process::ExitCode;

use atomic_streams::admin::MAX_STATE_ENTRIES;
use atomic_streams::{Error, ErrorKind, InvalidEntryId, StateError};

/// The numbers that a script may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    InUse = 4,
    LimitExceeded = 5,
    NotConfirmed = 6,
}

impl Exit {
    /// What `--help` and the manual say of them.
    pub const HELP: &str = "\
Exit codes:
  0  done
  1  failed: the server cannot be reached, refuses, or holds something unexpected
  2  the command line cannot be understood, or asks for what cannot be
  3  not found: no such stream, group, copy, field, letter or parked key
  4  in use: a living owner, a parked key or a copy of that name is in the way
  5  a limit is exceeded: lag above --max or --max-time, or findings of the doctor that are errors
  6  not confirmed: nothing was done";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why it could not be done, in words: what was wrong, where, and what to do.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub words: String,
}

impl Failure {
    pub fn new(exit: Exit, words: impl Into<String>) -> Self {
        Self { exit, words: words.into() }
    }

    pub fn usage(words: impl Into<String>) -> Self {
        Self::new(Exit::Usage, words)
    }

    pub fn not_found(words: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, words)
    }

    /// Nobody reads on: the end of a pipe such as `| head`.
    pub fn unheard() -> Self {
        Self::new(Exit::Done, String::new())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::InvalidConfig | ErrorKind::InvalidMessage => Exit::Usage,
            ErrorKind::NotFound | ErrorKind::NoStream | ErrorKind::NoGroup => Exit::NotFound,
            ErrorKind::InUse | ErrorKind::KeyParked => Exit::InUse,
            _ => Exit::Failed,
        };
        // The library names its own functions; this is how to ask for the same here.
        let hint = match error.kind() {
            ErrorKind::NotFound => {
                " (`atomic-streams ls` shows the subscriptions, `atomic-streams copies ls` the copies)"
            }
            ErrorKind::KeyParked => " (`atomic-streams dead-letters unpark` does that)",
            ErrorKind::LetterDamaged => " (`atomic-streams dead-letters drop` removes it)",
            ErrorKind::NoGroup => " (--without-groups says that none is needed)",
            ErrorKind::TooLarge => {
                return Self::new(
                    exit,
                    format!("{error} (--field does not help: all {MAX_STATE_ENTRIES} are of one state)"),
                );
            }
            ErrorKind::Unavailable => " (is this the server? --url or REDIS_URL says which)",
            ErrorKind::Denied => " (--url or REDIS_URL gives user and password: redis://user:password@host)",
            _ => "",
        };
        Self::new(exit, format!("{error}{hint}"))
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::new(Exit::Failed, format!("the stored state cannot be read: {error}"))
    }
}

impl From<InvalidEntryId> for Failure {
    fn from(error: InvalidEntryId) -> Self {
        Self::usage(error.to_string())
    }
}
