//! What can be lost, in two sentences.

use super::Facts;
use crate::durability::Durability;

/// What a crash of the server or of its machine can lose.
pub(super) fn of_crash(facts: &Facts) -> String {
    let lost = match (facts.appends(), facts.setting("appendfsync"), facts.setting("save")) {
        (Some(true), Some("always"), _) => {
            "A crash of the server or its machine loses nothing that was answered, as long as its disk is there; `appendfsync always` \
             sees to that"
        }
        (Some(true), Some("everysec"), _) => {
            "A crash of the server's process loses nothing, and one of its machine up to the last second or two of writes, input, state and \
             outputs together; `appendfsync always` changes that"
        }
        (Some(true), Some(_), _) => {
            "A crash of the server's process loses nothing, and one of its machine what its system had not written to the disk, 30 s or \
             so, input, state and outputs together; `appendfsync everysec` or `always` changes that"
        }
        (Some(true), None, _) => {
            "A crash of the server's process loses nothing, and what one of its machine can lose is unknown; `appendfsync` says it"
        }
        (Some(false), _, Some("")) => {
            "A crash or restart of the server loses everything, input, state and outputs together; `appendonly yes` changes that"
        }
        (Some(false), _, Some(_)) => {
            "A crash of the server loses everything since its last snapshot, input, state and outputs together; `appendonly yes` changes \
             that"
        }
        (Some(false), _, None) => {
            "A crash of the server loses everything since its last snapshot, and whether it makes any is unknown; `appendonly yes` \
             changes that"
        }
        (None, ..) => "What a crash of the server can lose is unknown; `appendonly` and `appendfsync` say it",
    };
    format!("{lost}.")
}

/// What the promotion of a replica can lose.
pub(super) fn of_failover(facts: &Facts, durability: Durability) -> String {
    let replicas = facts.count::<u64>("connected_slaves");
    let lost = match (replicas, facts.number::<u64>("min-replicas-to-write")) {
        (None, _) => "What a failover can lose is unknown; whether there are replicas, and `min-replicas-to-write`, say it".to_owned(),
        (Some(_), _) if facts.is_replica() => {
            "A failover to this replica loses what it has not received from its primary; examine the primary for what bounds that"
                .to_owned()
        }
        (Some(replicas), _) if replicas < u64::from(durability.replicas()) => format!(
            "`durability({durability})` waits for more replicas than are connected ({replicas}): nothing is reported as done until there \
             are enough, and a failover to one that has it loses nothing that was"
        ),
        (Some(replicas), _) if durability.replicas() > 0 => format!(
            "A failover loses nothing that a consumer has reported, if it promotes one of the {} of {replicas} replicas that have it; \
             `durability({durability})` sees to that",
            durability.replicas()
        ),
        (Some(0), _) => "There is nothing to fail over to, so nothing is handled while the server is down; a replica changes that".to_owned(),
        (Some(_), None) => {
            "A failover loses what the promoted replica had not received, and what bounds that is unknown; `min-replicas-to-write` says it"
                .to_owned()
        }
        (Some(_), Some(0)) => {
            "A failover loses what the promoted replica had not received, without bound where the primary was cut off from its replicas; \
             `min-replicas-to-write 1` bounds that, and `durability(Durability::Replicas(1))` keeps it from being reported"
                .to_owned()
        }
        (Some(_), Some(least)) => format!(
            "A failover loses what the promoted replica had not received, no more than about {} s of writes; `min-replicas-to-write \
             {least}` and `min-replicas-max-lag` see to that, and `durability(Durability::Replicas({least}))` keeps it from being reported",
            facts.setting("min-replicas-max-lag").unwrap_or("?")
        ),
    };
    format!("{lost}.")
}
