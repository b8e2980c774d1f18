//! What the server keeps on its disk.

use std::time::Duration;

use super::{Aim, Facts, Findings, Severity};

/// Within what time `appendfsync everysec` fsyncs a write: the second in which it falls, and the next while the disk is slow.
const EVERY_SECOND: Duration = Duration::from_secs(2);

pub(super) fn judge(facts: &Facts, aim: Aim, findings: &mut Findings) {
    match facts.appends() {
        Some(true) => file(facts, aim, findings),
        Some(false) => {
            snapshots(facts, findings);
            if aim.durability.on_disk() {
                findings.refuse("appendonly", "no", needs_file(aim));
            }
        }
        None => findings.unknown(facts, "appendonly", "whether anything survives a restart of the server"),
    }
    let stops = facts.setting("stop-writes-on-bgsave-error") != Some("no");
    if facts.line("rdb_last_bgsave_status") == Some("err") && stops {
        findings.add(
            Severity::Error,
            "rdb_last_bgsave_status",
            "err",
            "the last snapshot failed and the server refuses writes: make room on its disk or in its memory",
        );
    }
}

fn file(facts: &Facts, aim: Aim, findings: &mut Findings) {
    let fsync = facts.setting("appendfsync");
    match fsync {
        Some("always") => findings.add(
            Severity::Note,
            "appendfsync",
            "always",
            "a write is on the server's disk before it is answered",
        ),
        Some("everysec") => findings.add(
            Severity::Note,
            "appendfsync",
            "everysec",
            "a crash of the server's machine can lose its last second or two: `appendfsync always` prevents that, at the cost of \
             a disk's time for each pipeline of commits",
        ),
        Some(other) => findings.add(
            Severity::Warning,
            "appendfsync",
            other,
            "the operating system decides when writes reach the disk, on Linux after 30 s or so: set `appendfsync everysec` or \
             `always`",
        ),
        None => findings.unknown(facts, "appendfsync", "how much a crash of the server's machine can lose"),
    }
    if fsync != Some("no") && facts.setting("no-appendfsync-on-rewrite") == Some("yes") {
        findings.add(
            Severity::Warning,
            "no-appendfsync-on-rewrite",
            "yes",
            "nothing is fsynced while the file is rewritten: set `no-appendfsync-on-rewrite no`",
        );
    }
    if facts.line("aof_last_write_status") == Some("err") {
        findings.add(
            Severity::Error,
            "aof_last_write_status",
            "err",
            "the append-only file cannot be written and the server refuses writes: make room on its disk",
        );
    }
    torn(facts, findings);
    if !aim.durability.on_disk() {
        return;
    }
    let wait = aim.timing.durable_wait();
    match fsync {
        Some("no") => {
            let meaning = format!(
                "durability({}) waits for the file to be fsynced, and nobody does that: set `appendfsync everysec` or `always`",
                aim.durability
            );
            findings.refuse("appendfsync", "no", meaning);
        }
        Some("everysec") if wait < EVERY_SECOND => {
            let meaning = format!(
                "a write is fsynced within {EVERY_SECOND:?} or so, and with the lease of {:?} a commit waits no longer than {wait:?}: \
                 choose a lease of {:?} or more, or set `appendfsync always`",
                aim.timing.lease,
                EVERY_SECOND * 4
            );
            findings.refuse("appendfsync", "everysec", meaning);
        }
        _ => {}
    }
}

/// What is known of the server's way with a file that ends inside a commit.
fn torn(facts: &Facts, findings: &mut Findings) {
    let setting = "aof-load-truncated";
    if facts.setting(setting) == Some("no") {
        return; // It does not start then, and says how to repair the file.
    }
    let server = facts.server();
    match facts.version().map(|version| version.cuts_inside_transactions()) {
        Some(Some(false)) => {}
        Some(Some(true)) => findings.add(
            Severity::Warning,
            setting,
            "yes",
            format!(
                "{server}, when it was killed while it wrote a commit, cuts the file inside that commit, and its second start can repeat \
                 an output or lose later writes: run `BGREWRITEAOF` after a start that logs a \"short read\", or use Valkey 9.1.2 or later"
            ),
        ),
        _ => findings.unknown(
            facts,
            setting,
            &format!(
                "whether {server}, after it was killed while it wrote a commit, can repeat an output at its second start; \
                 `BGREWRITEAOF` after a start that logs a \"short read\" prevents it"
            ),
        ),
    }
}

fn snapshots(facts: &Facts, findings: &mut Findings) {
    match facts.setting("save") {
        Some("") => findings.add(
            Severity::Warning,
            "appendonly",
            "no",
            "the server keeps nothing on disk: when it restarts, streams and state are gone together; set `appendonly yes`",
        ),
        Some(points) => findings.add(
            Severity::Warning,
            "save",
            points,
            "only snapshots are on the server's disk: a crash takes streams and state back to the last of them, together; set \
             `appendonly yes`",
        ),
        None => findings.unknown(facts, "save", "whether anything survives a restart of the server, without an append-only file"),
    }
}

fn needs_file(aim: Aim) -> String {
    format!("durability({}) needs an append-only file, and the server has none: set `appendonly yes`", aim.durability)
}
