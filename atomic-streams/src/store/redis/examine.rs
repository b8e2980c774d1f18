//! Looks for settings of a server that endanger what is promised. What the ACL forbids to ask stays unknown.

use redis::aio::MultiplexedConnection;

use crate::store::Findings;

/// The oldest server with `XGROUP SETID … ENTRIESREAD` and `redis.acl_check_cmd`.
const OLDEST: u64 = 7;

pub(super) async fn examine(connection: &mut MultiplexedConnection) -> Findings {
    let info: Option<String> = redis::cmd("INFO").query_async(connection).await.ok();
    let info = info.unwrap_or_default();
    let of = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let saves: Option<Vec<String>> = redis::cmd("CONFIG").arg("GET").arg("save").query_async(connection).await.ok();
    let policy = of("maxmemory_policy").filter(|policy| policy.starts_with("allkeys") && of("maxmemory") != Some("0"));
    let append_only = of("aof_enabled").map(|enabled| enabled == "1");
    let snapshots = saves.and_then(|pair| pair.get(1).map(|points| !points.is_empty()));
    let version = of("redis_version");
    let major = version.and_then(|version| version.split('.').next()?.parse::<u64>().ok());
    Findings {
        evicts: policy.map(str::to_owned),
        not_persistent: append_only == Some(false) && snapshots == Some(false),
        too_old: version.filter(|_| major.is_some_and(|major| major < OLDEST)).map(str::to_owned),
    }
}
