//! What kind of server it is.

use super::{Aim, Facts, Findings, Severity};

/// The oldest server with `XGROUP SETID … ENTRIESREAD` and `redis.acl_check_cmd`.
const OLDEST: u32 = 7;

/// Modules that let several primaries write the same keys.
const ACTIVE_ACTIVE: [&str; 1] = ["crdt"];

pub(super) fn judge(facts: &Facts, aim: Aim, findings: &mut Findings) {
    match (facts.version(), facts.line("redis_version")) {
        (Some(version), Some(compatible)) => {
            // Others say which Redis they are compatible with.
            let major = compatible.split('.').next().and_then(|major| major.parse().ok());
            if major.is_some_and(|major: u32| major < OLDEST) {
                let meaning = format!(
                    "the server is Redis {compatible}, and 7.0 or later, or Valkey, is needed: upgrade the server"
                );
                findings.refuse("version", facts.server(), meaning);
            } else if facts.line("dragonfly_version").or(facts.line("garnet_version")).is_some() {
                findings.add(
                    Severity::Warning,
                    "version",
                    facts.server(),
                    "nothing is promised on a server that this library is not tested on: use Redis or Valkey",
                );
            } else {
                findings.add(Severity::Note, "version", facts.server(), "this library supports it");
            }
            if aim.durability.on_disk() && !version.has_waitaof() {
                let meaning = format!(
                    "durability({}) needs the command WAITAOF, which the server does not have: use Redis 7.2 or later, or Valkey, or \
                     `Durability::Replicas(n)`",
                    aim.durability
                );
                findings.refuse("WAITAOF", facts.server(), meaning);
            }
        }
        _ => findings.unknown(facts, "version", "whether this library supports the server"),
    }
    // Valkey has renamed it.
    match facts.line("redis_mode").or(facts.line("server_mode")) {
        Some("sentinel") => findings.refuse(
            "mode",
            "sentinel",
            "this is a Sentinel, which holds no data: give the address of the server that it watches",
        ),
        Some("cluster") => findings.add(
            Severity::Warning,
            "mode",
            "cluster",
            "redirects are not followed: give the stream and its outputs one hash tag, such as `{app}:sales`, and the address of \
             the node that has their slot",
        ),
        _ => {}
    }
    let several = facts.modules.iter().find(|module| ACTIVE_ACTIVE.contains(&module.as_str()));
    if let Some(module) = several {
        findings.refuse(
            "modules",
            module,
            "several primaries accept writes to the same keys, and no commit can then be compared with the one before: use a \
             database with one primary",
        );
    } else if facts.line("role") == Some("active-replica") {
        findings.refuse(
            "role",
            "active-replica",
            "several servers accept writes to the same keys, and no commit can then be compared with the one before: switch \
             `active-replica` off",
        );
    }
    if facts.line("loading") == Some("1") {
        findings.add(
            Severity::Warning,
            "loading",
            "1",
            "the server is loading its data: what it tells may be incomplete; examine it again when it is done",
        );
    }
}
