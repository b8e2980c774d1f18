//! A connection for what the library does not ask, and why something was not answered.

use std::sync::Arc;
use std::time::Duration;

use atomic_streams::redis::aio::MultiplexedConnection;
use atomic_streams::redis::{Cmd, Pipeline, RedisError, RedisResult, Script, Value};
use atomic_streams::{Error, ErrorKind};

use crate::connect::Server;

/// How long an answer is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server is not there; nothing else will be answered either.
    Absent(String),
    /// It refuses this.
    Refused(String),
}

impl Trouble {
    pub fn words(self) -> String {
        match self {
            Self::Absent(words) | Self::Refused(words) => words,
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Unavailable => Self::Absent(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        let is_refusal = error.code().is_some_and(|code| !matches!(code, "LOADING" | "MASTERDOWN" | "CLUSTERDOWN"));
        if is_refusal && !error.is_unrecoverable_error() {
            Self::Refused(error.to_string())
        } else {
            Self::Absent(error.to_string())
        }
    }
}

/// Waits for an answer, but not for ever.
pub(super) async fn patiently<T, E>(answer: impl Future<Output = Result<T, E>>) -> Result<T, Trouble>
where
    Trouble: From<E>,
{
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Trouble::Absent(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// A connection of its own, made when it is needed and anew after a failure.
pub(super) struct Asking {
    server: Arc<Server>,
    open: Option<MultiplexedConnection>,
}

impl Asking {
    pub fn new(server: Arc<Server>) -> Self {
        Self { server, open: None }
    }

    pub async fn command(&mut self, command: &Cmd) -> Result<Value, Trouble> {
        let mut open = self.open().await?;
        let answer = patiently(command.query_async(&mut open)).await;
        self.keep(open, answer)
    }

    /// What each command of the pipeline is answered.
    pub async fn pipeline(&mut self, mut commands: Pipeline) -> Result<Vec<RedisResult<Value>>, Trouble> {
        commands.ignore_errors();
        let mut open = self.open().await?;
        let answers = patiently(commands.query_async(&mut open)).await;
        self.keep(open, answers)
    }

    /// Runs a script once for each list of arguments, the first of which is the key.
    pub async fn scripts(&mut self, text: &str, calls: &[Vec<String>]) -> Result<Vec<Result<Value, Trouble>>, Trouble> {
        let pipeline = |by: &str, what: &str| {
            let mut commands = Pipeline::with_capacity(calls.len());
            for call in calls {
                commands.cmd(by).arg(what).arg(1).arg(call);
            }
            commands
        };
        let sha = Script::new(text).get_hash().to_owned();
        let mut answers = self.pipeline(pipeline("EVALSHA", &sha)).await?;
        let is_unknown =
            |answer: &RedisResult<Value>| answer.as_ref().is_err_and(|error| error.code() == Some("NOSCRIPT"));
        if answers.iter().any(is_unknown) {
            answers = self.pipeline(pipeline("EVAL", text)).await?;
        }
        Ok(answers.into_iter().map(|answer| answer.map_err(Trouble::from)).collect())
    }

    async fn open(&mut self) -> Result<MultiplexedConnection, Trouble> {
        // Taken out: after a call that is given up midway, the next one begins anew.
        match self.open.take() {
            Some(open) => Ok(open),
            None => patiently(self.server.connection()).await,
        }
    }

    fn keep<T>(&mut self, open: MultiplexedConnection, answer: Result<T, Trouble>) -> Result<T, Trouble> {
        if !matches!(answer, Err(Trouble::Absent(_))) {
            self.open = Some(open);
        }
        answer
    }
}

/// A reply's part as text; what is none is empty.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        _ => String::new(),
    }
}

/// A reply's part as a list; what is none is empty.
pub(super) fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(parts) => parts,
        _ => &[],
    }
}
