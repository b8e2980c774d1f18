//! Servers that the tests against real ones cannot start, by what they say of themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Aim, Clock, Diagnosis, Facts, Severity};
use crate::durability::Durability;
use crate::protocol::Timing;

const SOUND: &str = "redis_version:7.2.4\r\nvalkey_version:9.1.2\r\nredis_mode:standalone\r\nrole:master\r\nconnected_slaves:0\r\n\
                     used_memory:1\r\nconnected_clients:1\r\n";

/// Facts of a sound server, with these lines of INFO and settings instead or besides.
fn facts(lines: &str, settings: &[(&str, &str)]) -> Facts {
    let (info, modules) = Facts::of_info(&format!("{SOUND}{lines}"));
    let sound = [
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("maxmemory", "0"),
        ("maxmemory-policy", "noeviction"),
        ("min-replicas-to-write", "0"),
        ("timeout", "0"),
        ("busy-reply-threshold", "5000"),
        ("maxclients", "10000"),
    ];
    let config: BTreeMap<String, String> =
        sound.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Facts { info: Ok(info), modules, config: Ok(config), clock: None, rights: None }
}

fn judge(facts: &Facts) -> Diagnosis {
    Diagnosis::judge(facts, Aim::default())
}

#[test]
fn a_sound_server_has_nothing_to_be_said_against_it() {
    let diagnosis = judge(&facts("", &[]));
    assert_eq!((diagnosis.server.as_str(), diagnosis.worst()), ("Valkey 9.1.2", Severity::Note), "{diagnosis}");
}

#[test]
fn what_is_refused() {
    let older = "redis_version:6.2.14\r\n".to_owned() + SOUND;
    let (mut info, _) = Facts::of_info(&older.replace("redis_version:7.2.4\r\nvalkey_version:9.1.2\r\n", ""));
    info.remove("valkey_version");
    let too_old = Facts { info: Ok(info), ..facts("", &[]) };
    for (facts, setting, words) in [
        (too_old, "version", "the server is Redis 6.2.14, and 7.0 or later, or Valkey, is needed"),
        (facts("redis_mode:sentinel\r\n", &[]), "mode", "the server that it watches"),
        (facts("module:name=crdt,ver=1,api=1\r\n", &[]), "modules", "one primary"),
        (facts("role:active-replica\r\n", &[]), "role", "`active-replica`"),
        (facts("", &[("maxmemory", "9"), ("maxmemory-policy", "allkeys-lfu")]), "maxmemory-policy", "may evict"),
    ] {
        let diagnosis = judge(&facts);
        let finding = diagnosis.findings.iter().find(|finding| finding.refused).unwrap();
        assert_eq!((finding.severity, finding.setting.as_str()), (Severity::Error, setting));
        assert!(finding.meaning.contains(words), "{finding}");
    }
    assert!(!judge(&facts("module:name=search,ver=1\r\n", &[])).findings.iter().any(|finding| finding.refused));
}

#[test]
fn what_stands_still_or_lags() {
    for (lines, settings, setting, severity) in [
        ("dragonfly_version:df-1\r\n", &[][..], "version", Severity::Warning),
        ("loading:1\r\n", &[], "loading", Severity::Warning),
        ("aof_last_write_status:err\r\n", &[], "aof_last_write_status", Severity::Error),
        ("rdb_last_bgsave_status:err\r\n", &[], "rdb_last_bgsave_status", Severity::Error),
        ("used_memory:90\r\n", &[("maxmemory", "100")], "used_memory", Severity::Warning),
        ("used_memory:89\r\n", &[("maxmemory", "100")], "used_memory", Severity::Note),
        ("connected_slaves:1\r\nslave0:ip=a,state=online,lag=11\r\n", &[], "slave", Severity::Warning),
        ("connected_slaves:1\r\nslave0:ip=a,state=wait_bgsave,lag=0\r\n", &[], "slave", Severity::Warning),
    ] {
        let diagnosis = judge(&facts(lines, settings));
        assert_eq!(diagnosis.of(setting).map(|finding| finding.severity), Some(severity), "{diagnosis}");
    }
    assert_eq!(judge(&facts("connected_slaves:1\r\nslave0:ip=a,state=online,lag=1\r\n", &[])).of("slave"), None);
}

#[test]
fn of_some_versions_it_is_known_how_they_cut_a_torn_file() {
    for (version, severity) in [
        ("valkey_version:9.1.2", None),
        ("valkey_version:10.0.0", Some(Severity::Unknown)),
        ("valkey_version:9.1.1", Some(Severity::Unknown)),
        ("redis_version:7.0.15", Some(Severity::Warning)),
        ("redis_version:7.4.1", Some(Severity::Warning)),
        ("redis_version:8.2.3", Some(Severity::Warning)),
        ("redis_version:8.4.0", Some(Severity::Unknown)),
    ] {
        let mut facts = facts("", &[]);
        let (name, number) = version.split_once(':').unwrap();
        let info = facts.info.as_mut().unwrap();
        info.remove("valkey_version");
        info.insert(name.to_owned(), number.to_owned());
        let diagnosis = judge(&facts);
        assert_eq!(diagnosis.of("aof-load-truncated").map(|finding| finding.severity), severity, "{version}");
    }
}

#[test]
fn a_clock_counts_only_beyond_what_the_question_took() {
    let of = |ahead_ms, uncertainty_ms| {
        let facts = Facts { clock: Some(Clock { ahead_ms, uncertainty_ms }), ..facts("", &[]) };
        judge(&facts).of("clock").unwrap().severity
    };
    assert_eq!(of(1_200, 300), Severity::Note);
    assert_eq!(of(1_400, 300), Severity::Warning);
    assert_eq!(of(-1_400, 300), Severity::Warning);
}

#[test]
fn what_a_durability_needs_of_the_lease() {
    let facts = facts("", &[("appendfsync", "everysec")]);
    let refused = |lease_s| {
        let timing = Timing { lease: Duration::from_secs(lease_s) };
        let aim = Aim { durability: Durability::LocalDisk, timing };
        Diagnosis::judge(&facts, aim).findings.iter().any(|finding| finding.refused)
    };
    assert!(refused(7));
    assert!(!refused(8));
}
