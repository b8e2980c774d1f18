//! Who else has what the server has.

use super::{Aim, Facts, Findings, Severity};

/// A replica is asked for news every second.
const LATE_S: u64 = 10;

pub(super) fn judge(facts: &Facts, aim: Aim, findings: &mut Findings) {
    let (Some(role), Some(replicas)) = (facts.line("role"), facts.count::<u64>("connected_slaves")) else {
        findings.unknown(facts, "role", "whether the server is a primary, and whether it has replicas");
        return;
    };
    if facts.is_replica() {
        let primary = format!(
            "{role} of {}:{}",
            facts.line("master_host").unwrap_or("?"),
            facts.line("master_port").unwrap_or("?")
        );
        let meaning =
            "a replica accepts no writes, and a consumer waits until it is promoted: give the address of its primary";
        findings.add(Severity::Error, "role", primary, meaning);
        return;
    }
    findings.add(Severity::Note, "role", role, "it accepts writes");
    let needed = u64::from(aim.durability.replicas());
    if replicas < needed {
        let meaning = format!(
            "durability({}) waits for {needed}, and consumers handle nothing until so many are connected",
            aim.durability
        );
        findings.add(Severity::Warning, "connected_slaves", replicas, meaning);
    } else if replicas == 0 {
        let meaning = "no replica can take over: while the server is down, nothing is handled";
        findings.add(Severity::Note, "connected_slaves", replicas, meaning);
    } else {
        findings.add(Severity::Note, "connected_slaves", replicas, "so many replicas could take over");
    }
    late(facts, findings);
    if replicas > 0 || needed > 0 {
        isolation(facts, aim, findings);
    }
}

/// Replicas that are connected and do not keep up.
fn late(facts: &Facts, findings: &mut Findings) {
    let lines = (0..).map_while(|number| facts.line(&format!("slave{number}")));
    for line in lines {
        let part = |name: &str| line.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let (state, lag) = (part("state").unwrap_or("?"), part("lag").and_then(|lag| lag.parse::<u64>().ok()));
        if state != "online" || lag.is_none_or(|lag| lag > LATE_S) {
            let meaning =
                "this replica does not keep up, and would take over without the newest writes: look at it and its link";
            findings.add(Severity::Warning, "slave", line, meaning);
        }
    }
}

/// Whether a primary that has lost its replicas goes on.
fn isolation(facts: &Facts, aim: Aim, findings: &mut Findings) {
    let setting = "min-replicas-to-write";
    match facts.number::<u64>(setting) {
        None => findings.unknown(
            facts,
            setting,
            "whether a primary that is cut off from its replicas goes on accepting writes",
        ),
        Some(0) => {
            let covered = aim.durability.replicas() > 0;
            let severity = if covered { Severity::Note } else { Severity::Warning };
            let meaning = "a primary that is cut off from its replicas goes on accepting writes, which a failover then loses: set \
                           `min-replicas-to-write 1`, or `durability(Durability::Replicas(1))` on the builder";
            findings.add(severity, setting, 0, meaning);
        }
        Some(least) => {
            let lag = facts.setting("min-replicas-max-lag").unwrap_or("?");
            let good = facts.count::<u64>("min_slaves_good_slaves");
            if good.is_some_and(|good| good < least) {
                let meaning =
                    "the server has fewer replicas than that and refuses writes (NOREPLICAS): bring them back";
                findings.add(Severity::Error, setting, least, meaning);
            } else {
                let meaning =
                    format!("without so many replicas for {lag} s, the server refuses writes and consumers wait");
                findings.add(Severity::Note, setting, least, meaning);
            }
        }
    }
}
