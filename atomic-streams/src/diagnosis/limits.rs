//! Limits in time and number, and the clock.

use std::time::Duration;

use super::{Aim, Facts, Findings, Severity};

/// A clock that is further off is worth a word.
const OFF_MS: i64 = 1_000;

/// A commit of many publishes takes tens of milliseconds.
const HASTY_MS: u64 = 100;

pub(super) fn judge(facts: &Facts, aim: Aim, findings: &mut Findings) {
    idle(facts, aim, findings);
    busy(facts, findings);
    clients(facts, findings);
    let Some(clock) = facts.clock else { return };
    let value = format_args!("{:+} ms (± {} ms)", clock.ahead_ms, clock.uncertainty_ms).to_string();
    if clock.ahead_ms.abs() > OFF_MS + clock.uncertainty_ms {
        let meaning = "the IDs of entries and what is counted by them (times to live, ages) follow the server's clock, which differs from \
                       this machine's: synchronise both; leases and commits do not depend on it";
        findings.add(Severity::Warning, "clock", value, meaning);
    } else {
        findings.add(Severity::Note, "clock", value, "the server's clock agrees with this machine's");
    }
}

fn idle(facts: &Facts, aim: Aim, findings: &mut Findings) {
    match facts.number::<u64>("timeout") {
        None => findings.unknown(facts, "timeout", "whether the server closes idle connections"),
        Some(0) => {}
        Some(seconds) => {
            let period = Duration::from_millis(aim.timing.renew_every().as_millis() as u64);
            if u128::from(seconds) * 1_000 <= period.as_millis() {
                let meaning = format!(
                    "the server closes connections that are idle for so many seconds, and a consumer renews its lease every {period:?}: \
                     its sessions end again and again; set `timeout 0`, or a shorter lease"
                );
                findings.add(Severity::Warning, "timeout", seconds, meaning);
            } else {
                let meaning =
                    format!("connections idle for so many seconds are closed; a consumer's are used every {period:?}");
                findings.add(Severity::Note, "timeout", seconds, meaning);
            }
        }
    }
}

fn busy(facts: &Facts, findings: &mut Findings) {
    let setting = "busy-reply-threshold";
    match facts.number::<u64>(setting) {
        None => findings.unknown(
            facts,
            setting,
            "after what time of one script other clients are told that the server is busy",
        ),
        Some(ms @ 1..HASTY_MS) => {
            let meaning = "while a script runs longer than so many ms every client is told BUSY, and sessions end: set \
                           `busy-reply-threshold 5000`";
            findings.add(Severity::Warning, setting, ms, meaning);
        }
        Some(ms) => {
            findings.add(
                Severity::Note,
                setting,
                ms,
                "no commit takes so many ms, unless the server stands still (0: no limit)",
            );
        }
    }
}

fn clients(facts: &Facts, findings: &mut Findings) {
    let (most, now) = (facts.number::<u64>("maxclients"), facts.count::<u64>("connected_clients"));
    let (Some(most), Some(now)) = (most, now) else {
        findings.unknown(facts, "maxclients", "how many connections the server accepts");
        return;
    };
    let value = format_args!("{most} ({now} connected)").to_string();
    if u128::from(now) * 100 >= u128::from(most) * 80 {
        let meaning = "few connections are left, and a consumer needs two: raise `maxclients`";
        findings.add(Severity::Warning, "maxclients", value, meaning);
    } else {
        findings.add(Severity::Note, "maxclients", value, "a consumer needs two connections");
    }
}
