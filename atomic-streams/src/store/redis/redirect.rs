//! Nodes of a cluster that send a client elsewhere.

use redis::{ConnectionInfo, RedisError};

use super::origin::at;
use crate::store::StoreError;

/// How often a client is sent on before it is told so.
pub(super) const MAX_REDIRECTS: usize = 3;

/// Where the keys of a refused command are, if they are not on the node that was asked.
pub(super) fn target(error: &StoreError, asked: &ConnectionInfo) -> Option<ConnectionInfo> {
    let error = error.source.as_ref()?.downcast_ref::<RedisError>()?;
    // ASK is for one command alone, while a slot moves.
    if error.code() != Some("MOVED") {
        return None;
    }
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok()?;
    Some(match host {
        // The same host as before.
        "" => at(asked, None, port),
        host => at(asked, Some(host.trim_matches(['[', ']']).to_owned()), port),
    })
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;
    use crate::store::redis::reply;

    fn to(words: &str) -> Option<String> {
        let asked = "redis://user:secret@first:7000".into_connection_info().unwrap();
        // What the client makes of such a reply, there is no other way to.
        let mut reply = redis::Parser::new();
        let value = reply.parse_value(format!("-{words}\r\n").as_bytes()).unwrap();
        let target = target(&reply::checked(value).unwrap_err(), &asked)?;
        assert_eq!(target.redis_settings().password(), Some("secret"));
        Some(target.addr().to_string())
    }

    #[test]
    fn a_redirect_leads_to_another_node_as_the_same_user() {
        assert_eq!(to("MOVED 42 10.0.0.1:7001").as_deref(), Some("10.0.0.1:7001"));
        assert_eq!(to("MOVED 42 :7001").as_deref(), Some("first:7001"));
        assert_eq!(to("MOVED 42 [::1]:7001").as_deref(), Some("::1:7001"));
        assert_eq!(to("MOVED 42 redis.example.com:7001").as_deref(), Some("redis.example.com:7001"));
        for other in ["ASK 42 10.0.0.1:7001", "MOVED 42", "MOVED 42 host", "CLUSTERDOWN Hash slot not served"] {
            assert_eq!(to(other), None, "{other}");
        }
    }
}
