//! What the server does when its memory is full.

use super::{Facts, Findings, Severity};

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    let (limit, policy) = (facts.number::<u64>("maxmemory"), facts.setting("maxmemory-policy"));
    let (Some(limit), Some(policy)) = (limit, policy) else {
        findings.unknown(facts, "maxmemory-policy", "whether the server may evict the record");
        return;
    };
    if limit == 0 {
        let meaning = "nothing is evicted; where the machine runs out of memory its system may kill the server: set `maxmemory` below \
                       what the machine has";
        findings.add(Severity::Note, "maxmemory", limit, meaning);
        return;
    }
    if policy.starts_with("allkeys") {
        let meaning = format!(
            "the server may evict the record (maxmemory-policy {policy} with a limit): set `maxmemory-policy noeviction` or a \
             `volatile-` policy, or accept the loss with `allow_eviction()`"
        );
        findings.refuse("maxmemory-policy", policy, meaning);
    } else {
        let meaning = "records and streams have no time to live, and are not evicted";
        findings.add(Severity::Note, "maxmemory-policy", policy, meaning);
    }
    let Some(used) = facts.count::<u64>("used_memory") else { return };
    let percent = (u128::from(used) * 100 / u128::from(limit)) as u64;
    let (severity, meaning) = if percent >= 90 {
        (
            Severity::Warning,
            "at the limit the server refuses writes and consumers wait: raise `maxmemory`, or trim streams",
        )
    } else {
        (Severity::Note, "at the limit the server refuses writes and consumers wait")
    };
    findings.add(severity, "used_memory", format_args!("{used} ({percent} % of maxmemory)"), meaning);
}
