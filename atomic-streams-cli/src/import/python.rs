//! What the Python library `atomic-redis-streams` keeps of a consumer.
//!
//! The ID of the last entry it has handled is a string at `atomic_streams:index:STREAM:CONSUMER_ID`, and the attributes of its
//! handler are a hash at `atomic_streams:state:UNIQUE_ID`, each value a pickle. One transaction writes both.

use atomic_streams::EntryId;
use atomic_streams::redis::aio::MultiplexedConnection;
use atomic_streams::redis::{RedisError, cmd};

use crate::exit::{Exit, Failure};

/// The hash's field that is no attribute.
const CLASS_HASH: &str = "__schema_hash__";

/// Attributes at most.
const MAX_ATTRIBUTES: usize = 10_000;

/// Handlers that are named where the right one is not there.
const MAX_NAMED: usize = 20;

/// A client that asked so many seconds ago at most may ask again.
const RECENT_S: u64 = 2;

/// Names and pickles, as they lie there.
type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// What is kept of one consumer: all of one instant, if the position is still the same when it is used.
pub struct Kept {
    pub index_key: String,
    /// The position as it is written there.
    pub index: Vec<u8>,
    pub position: EntryId,
    pub state_key: Option<String>,
    /// Names and pickles, in the order of the names.
    pub attributes: Vec<(String, Vec<u8>)>,
}

/// Reads it. `handler` is the handler's `unique_id`, if it has state.
pub async fn read(
    redis: &mut MultiplexedConnection,
    stream: &str,
    consumer: &str,
    handler: Option<&str>,
) -> Result<Kept, Failure> {
    let index_key = format!("atomic_streams:index:{stream}:{consumer}");
    let state_key = handler.map(|handler| format!("atomic_streams:state:{handler}"));
    // The position first: whoever finds it unchanged later has read the state that belongs to it.
    let index: Option<Vec<u8>> = cmd("GET").arg(&index_key).query_async(redis).await.map_err(unreadable)?;
    let Some(index) = index else {
        return Err(Failure::not_found(format!(
            "the Python consumer `{consumer}` has kept no position on stream `{stream}`: there is no key `{index_key}` (--consumer-id \
             names another one)"
        )));
    };
    let position = std::str::from_utf8(&index).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        let shown = index.iter().take(64).copied().collect::<Vec<_>>().escape_ascii().to_string();
        Failure::new(Exit::Failed, format!("`{index_key}` holds `{shown}`, which is no entry's ID"))
    })?;
    let state: Attributes = match &state_key {
        Some(state_key) => cmd("HGETALL").arg(state_key).query_async(redis).await.map_err(unreadable)?,
        None => Attributes::new(),
    };
    if let (Some(state_key), true) = (&state_key, state.is_empty()) {
        return Err(no_state(redis, state_key).await?);
    }
    if state.len() > MAX_ATTRIBUTES {
        return Err(Failure::new(
            Exit::Failed,
            format!("the handler has {} attributes, and at most {MAX_ATTRIBUTES} are read", state.len()),
        ));
    }
    let mut attributes = Vec::with_capacity(state.len());
    for (name, pickle) in state {
        let name = String::from_utf8(name).map_err(|_| {
            Failure::new(
                Exit::Failed,
                "the handler's state has a field whose name is no text: it is not of that library",
            )
        })?;
        if name != CLASS_HASH {
            attributes.push((name, pickle));
        }
    }
    attributes.sort();
    Ok(Kept { index_key, index, position, state_key, attributes })
}

/// Names the handlers that have state.
async fn no_state(redis: &mut MultiplexedConnection, state_key: &str) -> Result<Failure, Failure> {
    const PREFIX: &str = "atomic_streams:state:";
    let (mut cursor, mut named) = ("0".to_owned(), Vec::new());
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(&cursor).arg("MATCH").arg(format!("{PREFIX}*")).arg("COUNT").arg(1_000).arg("TYPE").arg("hash");
        let (next, keys): (String, Vec<Vec<u8>>) = scan.query_async(redis).await.map_err(unreadable)?;
        let keys = keys.iter().map(|key| String::from_utf8_lossy(key).into_owned());
        named.extend(keys.filter_map(|key| key.strip_prefix(PREFIX).map(|id| format!("`{}`", id.escape_debug()))));
        if next == "0" || named.len() >= MAX_NAMED {
            break;
        }
        cursor = next;
    }
    named.sort();
    named.dedup();
    named.truncate(MAX_NAMED);
    let others = match named.is_empty() {
        true => "no handler on this server has one".to_owned(),
        false => format!("handlers with state: {}", named.join(", ")),
    };
    Ok(Failure::not_found(format!(
        "there is no state at `{state_key}`; {others}. --state names the handler's unique_id, --stateless says that it has no state"
    )))
}

/// Connections that may be those of a running Python consumer; `None` if this user may not look.
pub async fn running(redis: &mut MultiplexedConnection) -> Result<Option<Vec<String>>, Failure> {
    let list: Result<String, _> = cmd("CLIENT").arg("LIST").query_async(redis).await;
    match list {
        Ok(list) => Ok(Some(readers(&list))),
        Err(error) if error.code() == Some("NOPERM") => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

/// Clients that read a stream now or did just before, other than those of libraries that are not Python's. Servers before 7.2 do
/// not say which library a client has.
fn readers(list: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in list.lines() {
        let of = |name: &str| {
            line.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
        };
        // Who is blocked waits for an entry, for however long.
        let is_recent = of("flags").contains('b') || of("idle").parse::<u64>().is_ok_and(|idle| idle <= RECENT_S);
        let library = of("lib-name");
        if of("cmd") == "xread" && is_recent && (library.is_empty() || library.contains("redis-py")) {
            found.push(of("addr").to_owned());
        }
    }
    found
}

fn unreadable(error: RedisError) -> Failure {
    Failure::new(Exit::Failed, format!("what the Python library has kept cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_a_stream_now_may_be_the_consumer() {
        let line = |addr: &str, rest: &str| format!("id=7 addr={addr} laddr=127.0.0.1:1 fd=9 name= {rest} resp=2\n");
        let list = [
            line("1.1.1.1:1", "idle=0 flags=b cmd=xread lib-name=redis-py lib-ver=5"),
            line("1.1.1.1:2", "idle=0 flags=b cmd=xread lib-name= lib-ver="),
            line("1.1.1.1:3", "idle=2 flags=N cmd=xread user=default"),
            line("1.1.1.1:4", "idle=3 flags=N cmd=xread user=default"),
            line("1.1.1.1:5", "idle=0 flags=b cmd=xread lib-name=redis-rs lib-ver=1"),
            line("1.1.1.1:6", "idle=0 flags=N cmd=client|list lib-name=redis-py"),
            line("1.1.1.1:7", "idle=60 flags=b cmd=xread lib-name=redis-py"),
        ];
        assert_eq!(readers(&list.concat()), ["1.1.1.1:1", "1.1.1.1:2", "1.1.1.1:3", "1.1.1.1:7"]);
    }
}
