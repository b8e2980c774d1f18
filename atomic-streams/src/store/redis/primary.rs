//! Finding the primary through sentinels, and seeing that it is one.

use std::future::Future;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, ConnectionInfo, Value};
use tracing::debug;

use super::connection::Connector;
use super::{Sentinel, reply};
use crate::protocol::{Failure, Permanent, Transient};
use crate::store::StoreError;
use crate::targets;

/// A primary, and a connection to it.
pub(super) type Primary = (Client, MultiplexedConnection);

/// Asks the sentinels one after the other, until one names a server that says that it is a primary.
///
/// The one that knew last is asked first: another may have fallen silent, and to find that out takes time. Where the primary
/// was is never remembered.
pub(super) async fn find(connector: &Connector, sentinel: &Sentinel) -> Result<Primary, StoreError> {
    let infos = sentinel.sentinels();
    let first = connector.first_sentinel();
    let mut tried = Vec::new();
    let mut failed: Option<StoreError> = None;
    for at in (0..infos.len()).map(|n| (first + n) % infos.len()) {
        let error = match named_by(connector, sentinel.name(), &infos[at]).await {
            Ok(Some(named)) if tried.contains(&named) => continue,
            Ok(Some((host, port))) => match connect(connector, sentinel.primary_at(host.clone(), port)).await {
                Ok(primary) => {
                    connector.remember_sentinel(at);
                    return Ok(primary);
                }
                Err(error) => {
                    tried.push((host, port));
                    error
                }
            },
            Ok(None) => no_primary(format!("no server is known to them as `{}`", sentinel.name())),
            Err(error) => error,
        };
        debug!(
            name: "server.no_primary",
            target: targets::SERVER,
            sentinel = %infos[at].addr(),
            error = error.words,
            "no primary through this sentinel"
        );
        // What passes by itself outweighs what does not: one sentinel with another password stops nobody.
        let replaces = match &failed {
            None => true,
            Some(before) => {
                matches!((before.failure, error.failure), (Failure::Permanent(_), Failure::Transient(_)))
            }
        };
        if replaces {
            failed = Some(error);
        }
    }
    Err(failed.unwrap_or_else(|| no_primary("there is no sentinel to ask".to_owned())))
}

/// The server that one sentinel takes for the primary.
async fn named_by(
    connector: &Connector,
    name: &str,
    info: &ConnectionInfo,
) -> Result<Option<(String, u16)>, StoreError> {
    let limit = connector.timing().connect_timeout();
    let asking = async {
        let (_, mut connection) = connector.open(info).await?;
        let command = redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name).to_owned();
        query(&mut connection, &command, limit).await
    };
    let answer = within(limit, asking).await.map_err(|error| at_sentinel(info, error))?;
    match answer {
        Value::Nil => Ok(None),
        Value::Array(parts) => {
            let parts: Option<Vec<String>> = parts.into_iter().map(|part| redis::from_redis_value(part).ok()).collect();
            let parts = parts.and_then(|parts| <[String; 2]>::try_from(parts).ok());
            let named = parts.and_then(|[host, port]| Some((host, port.parse().ok()?)));
            named.map(Some).ok_or_else(|| StoreError::unexpected("SENTINEL GET-MASTER-ADDR-BY-NAME"))
        }
        _ => Err(StoreError::unexpected("SENTINEL GET-MASTER-ADDR-BY-NAME")),
    }
}

/// Connects to a server that says that it is a primary, or not at all.
async fn connect(connector: &Connector, info: ConnectionInfo) -> Result<Primary, StoreError> {
    let (client, mut connection) = connector.open(&info).await?;
    let limit = connector.timing().connect_timeout();
    let role = query(&mut connection, &redis::cmd("ROLE"), limit).await?;
    let role = match role {
        Value::Array(parts) => parts.into_iter().next().and_then(|role| redis::from_redis_value::<String>(role).ok()),
        _ => None,
    };
    match role.as_deref() {
        Some("master") => Ok((client, connection)),
        Some(_) => Err(no_primary(format!("the server at {} that they name is a replica", info.addr()))),
        None => Err(StoreError::unexpected("ROLE")),
    }
}

async fn query(connection: &mut MultiplexedConnection, command: &Cmd, limit: Duration) -> Result<Value, StoreError> {
    let sending = async { connection.send_packed_command(command).await.map_err(reply::error) };
    reply::checked(within(limit, sending).await?)
}

async fn within<T>(limit: Duration, asking: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(limit, asking).await.map_err(|_| reply::no_answer(limit))?
}

/// Says whose error it is, and what the server of a sentinel's address is if it is none.
fn at_sentinel(info: &ConnectionInfo, mut error: StoreError) -> StoreError {
    if error.failure == Failure::Permanent(Permanent::ServerTooOld) {
        error.failure = Failure::Permanent(Permanent::BadAddress);
        error.words = format!("the server at {} is no sentinel: {}", info.addr(), error.words);
    } else {
        error.words = format!("sentinel at {}: {}", info.addr(), error.words);
    }
    error
}

fn no_primary(words: String) -> StoreError {
    StoreError { failure: Failure::Transient(Transient::NoPrimary), words, source: None }
}
