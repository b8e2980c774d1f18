//! Asks a server what it is and how it is set. What the ACL forbids to ask, or a provider has renamed, stays unknown.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};
use tokio::time::Instant;

use super::reply;
use crate::diagnosis::{Answer, Clock, Facts, Question, Refused, Rights};
use crate::protocol::{Failure, Permanent};
use crate::script;
use crate::store::StoreError;

/// What the server tells. A connection that breaks is an error, a refusal is not.
pub(super) async fn examine(connection: &mut MultiplexedConnection) -> Result<Facts, StoreError> {
    let info: Result<String, String> = answer(redis::cmd("INFO").query_async(connection).await)?;
    let (info, modules) = match info {
        Ok(text) => {
            let (lines, modules) = Facts::of_info(&text);
            (Ok(lines), modules)
        }
        Err(words) => (Err(words), Vec::new()),
    };
    let mut config = redis::cmd("CONFIG");
    config.arg("GET").arg(&Facts::SETTINGS);
    let config: Result<BTreeMap<String, String>, String> = answer(config.query_async(connection).await)?;
    let clock = clock(connection).await?;
    Ok(Facts { info, modules, config, clock, rights: None })
}

/// What the user of the connection may do of this.
pub(super) async fn rights(
    connection: &mut MultiplexedConnection,
    questions: Vec<Question>,
) -> Result<Rights, StoreError> {
    let mut load = redis::cmd("SCRIPT");
    load.arg("LOAD").arg(&*script::RIGHTS.text);
    let mut call = redis::cmd("EVALSHA");
    call.arg(&script::RIGHTS.sha).arg(0);
    for question in &questions {
        call.arg(question.words.len()).arg(&question.words);
    }
    let mut answers: RedisResult<Vec<i64>> = load.query_async::<String>(connection).await.map(|_| Vec::new());
    if answers.is_ok() {
        answers = call.query_async(connection).await;
    }
    let answers = match answers {
        Ok(answers) => Ok(answers.into_iter().map(allowed).collect()),
        Err(error) if error.code().is_none() => return Err(reply::error(error)),
        Err(error) => {
            let StoreError { failure, words, .. } = reply::error(error);
            Err(Refused { is_denied: failure == Failure::Permanent(Permanent::Denied), words })
        }
    };
    Ok(Rights { questions, answers })
}

fn allowed(number: i64) -> Answer {
    match number {
        1 => Answer::Allowed,
        0 => Answer::Denied,
        _ => Answer::NoCommand,
    }
}

/// The difference of the clocks, as of the middle of the question's way.
async fn clock(connection: &mut MultiplexedConnection) -> Result<Option<Clock>, StoreError> {
    let asked = Instant::now();
    let time: Result<(i64, i64), String> = answer(redis::cmd("TIME").query_async(connection).await)?;
    let uncertainty_ms = i64::try_from(asked.elapsed().as_millis() / 2 + 1).unwrap_or(i64::MAX);
    let here_ms = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|now| i64::try_from(now.as_millis()).ok());
    let (Ok((seconds, micros)), Some(here_ms)) = (time, here_ms) else { return Ok(None) };
    let there_ms = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
    Ok(Some(Clock { ahead_ms: there_ms.saturating_sub(here_ms).saturating_add(uncertainty_ms), uncertainty_ms }))
}

/// A refusal as the server's words; the rest is an error of the connection, or a server that lets nobody in.
fn answer<T>(result: RedisResult<T>) -> Result<Result<T, String>, StoreError> {
    result.map(Ok).or_else(|error: RedisError| match error.code() {
        Some(code) if code != "NOAUTH" => Ok(Err(words(&error))),
        _ => Err(reply::error(error)),
    })
}

fn words(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}
