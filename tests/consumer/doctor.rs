//! What a server is fit for: each setting as the server has it, and what that means.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use atomic_streams::doctor::{Diagnosis, Finding, Severity};
use atomic_streams::{Consumer, Doctor, Durability, ErrorKind, Fields, Transaction, handler_fn};
use support::{Product, Server, eventually};
use tracing_subscriber::util::SubscriberInitExt;

use crate::site::{GROUP, STREAM, within};

async fn examined(server: &Server) -> Diagnosis {
    let diagnosis = Doctor::new(server.url()).unwrap().examine().await.unwrap();
    println!("{diagnosis}\n");
    diagnosis
}

async fn examined_with(options: &[(&str, &str)]) -> Diagnosis {
    let server = options.iter().fold(Server::builder(), |server, (name, value)| server.arg(name, value));
    examined(&server.start().await).await
}

async fn ask(server: &Server, command: &str) {
    let mut words = command.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    cmd.arg(words.collect::<Vec<_>>());
    let _: redis::Value = cmd.query_async(&mut server.connection().await).await.unwrap();
}

/// How severe a setting was found to be, with these words in its meaning.
fn found<'a>(diagnosis: &'a Diagnosis, setting: &str, severity: Severity, words: &str) -> &'a Finding {
    let finding = diagnosis.of(setting).unwrap_or_else(|| panic!("nothing was found of {setting}"));
    assert_eq!(finding.severity, severity, "{finding}");
    assert!(finding.meaning.contains(words), "{finding}");
    finding
}

#[tokio::test]
async fn a_careful_server() {
    let server = Server::builder().append_only("always").start().await;
    let diagnosis = examined(&server).await;
    let version = server.version().await;
    assert_eq!(diagnosis.server, version.to_string());
    found(&diagnosis, "version", Severity::Note, "supports it");
    found(&diagnosis, "appendfsync", Severity::Note, "before it is answered");
    found(&diagnosis, "role", Severity::Note, "accepts writes");
    found(&diagnosis, "clock", Severity::Note, "agrees");
    found(&diagnosis, "maxclients", Severity::Note, "two connections");
    assert!(diagnosis.server_crash.contains("loses nothing that was answered"), "{}", diagnosis.server_crash);
    assert!(diagnosis.failover.contains("nothing to fail over to"), "{}", diagnosis.failover);
    // Of these versions it is known how they treat a torn file.
    let torn = diagnosis.of("aof-load-truncated");
    match version.product {
        Product::Redis => {
            found(&diagnosis, "aof-load-truncated", Severity::Warning, "BGREWRITEAOF");
            assert_eq!(diagnosis.at_least(Severity::Unknown).count(), 1);
        }
        Product::Valkey => {
            assert_eq!(torn, None);
            assert_eq!(diagnosis.worst(), Severity::Note);
        }
    }
    let refuses_torn_files = examined_with(&[("--appendonly", "yes"), ("--aof-load-truncated", "no")]).await;
    assert_eq!(refuses_torn_files.of("aof-load-truncated"), None);
}

#[tokio::test]
async fn what_a_crash_can_lose() {
    for (options, setting, severity, words, lost) in [
        (
            &[("--appendonly", "no")][..],
            "appendonly",
            Severity::Warning,
            "keeps nothing on disk",
            "loses everything, input",
        ),
        (
            &[("--appendonly", "no"), ("--save", "3600 1")],
            "save",
            Severity::Warning,
            "only snapshots",
            "everything since its last snapshot",
        ),
        (
            &[("--appendonly", "yes"), ("--appendfsync", "everysec")],
            "appendfsync",
            Severity::Note,
            "last second or two",
            "up to the last second or two",
        ),
        (&[("--appendonly", "yes"), ("--appendfsync", "no")], "appendfsync", Severity::Warning, "30 s", "30 s or so"),
        (
            &[("--appendonly", "yes"), ("--no-appendfsync-on-rewrite", "yes")],
            "no-appendfsync-on-rewrite",
            Severity::Warning,
            "nothing is fsynced while the file is rewritten",
            "A crash of the server's process loses nothing",
        ),
    ] {
        let diagnosis = examined_with(options).await;
        found(&diagnosis, setting, severity, words);
        assert!(diagnosis.server_crash.contains(lost), "{}", diagnosis.server_crash);
    }
}

#[tokio::test]
async fn limits() {
    for (name, value, setting, severity, words) in [
        ("--timeout", "3", "timeout", Severity::Warning, "sessions end again and again"),
        ("--timeout", "60", "timeout", Severity::Note, "are closed"),
        ("--busy-reply-threshold", "5", "busy-reply-threshold", Severity::Warning, "BUSY"),
        ("--busy-reply-threshold", "5000", "busy-reply-threshold", Severity::Note, "unless the server stands still"),
        ("--maxmemory", "0", "maxmemory", Severity::Note, "nothing is evicted"),
        ("--maxmemory", "1gb", "used_memory", Severity::Note, "consumers wait"),
        ("--maxmemory", "700kb", "used_memory", Severity::Warning, "raise `maxmemory`"),
    ] {
        found(&examined_with(&[(name, value)]).await, setting, severity, words);
    }
    let server = Server::builder().arg("--maxclients", "8").start().await;
    let mut connections = Vec::new();
    for _ in 0..6 {
        connections.push(server.connection().await);
    }
    found(&examined(&server).await, "maxclients", Severity::Warning, "raise `maxclients`");
    let server = Server::builder().arg("--timeout", "3").start().await;
    let brief = Doctor::with_client(&server.client()).lease(Duration::from_secs(3)).examine().await.unwrap();
    found(&brief, "timeout", Severity::Note, "are used every 1s");
}

#[tokio::test]
async fn eviction() {
    let limit = ("--maxmemory", "1gb");
    let evicts = examined_with(&[limit, ("--maxmemory-policy", "allkeys-lru")]).await;
    assert!(found(&evicts, "maxmemory-policy", Severity::Error, "may evict the record").refused);
    let spares = examined_with(&[limit, ("--maxmemory-policy", "volatile-lru")]).await;
    assert!(!found(&spares, "maxmemory-policy", Severity::Note, "not evicted").refused);
    let unlimited = examined_with(&[("--maxmemory-policy", "allkeys-lru")]).await;
    assert_eq!(unlimited.of("maxmemory-policy"), None);
}

#[tokio::test]
async fn replicas() {
    let server = Server::builder().append_only("everysec").start().await;
    let replica = Server::builder().replica_of(&server).start().await;
    eventually("the replica is online", async || {
        let mut redis = server.connection().await;
        let info: String = redis::cmd("INFO").arg("replication").query_async(&mut redis).await.unwrap();
        info.contains("state=online")
    })
    .await;
    let diagnosis = examined(&server).await;
    found(&diagnosis, "connected_slaves", Severity::Note, "could take over");
    found(&diagnosis, "min-replicas-to-write", Severity::Warning, "set `min-replicas-to-write 1`");
    assert!(diagnosis.failover.contains("without bound"), "{}", diagnosis.failover);

    ask(&server, "CONFIG SET min-replicas-to-write 1 min-replicas-max-lag 7").await;
    let bounded = examined(&server).await;
    found(&bounded, "min-replicas-to-write", Severity::Note, "for 7 s");
    assert!(bounded.failover.contains("no more than about 7 s"), "{}", bounded.failover);
    ask(&server, "CONFIG SET min-replicas-to-write 2").await;
    found(&examined(&server).await, "min-replicas-to-write", Severity::Error, "NOREPLICAS");
    ask(&server, "CONFIG SET min-replicas-to-write 0").await;

    let doctor = || Doctor::new(server.url()).unwrap();
    let covered = doctor().durability(Durability::Replicas(1)).examine().await.unwrap();
    found(&covered, "min-replicas-to-write", Severity::Note, "cut off");
    assert!(covered.failover.contains("loses nothing that a consumer has reported"), "{}", covered.failover);
    let wanting = doctor().durability(Durability::Replicas(2)).examine().await.unwrap();
    found(&wanting, "connected_slaves", Severity::Warning, "handle nothing until");

    let of_replica = examined(&replica).await;
    found(&of_replica, "role", Severity::Error, "address of its primary");
    assert!(of_replica.failover.contains("to this replica"), "{}", of_replica.failover);
}

#[tokio::test]
async fn kinds_of_server() {
    let cluster = examined_with(&[("--cluster-enabled", "yes")]).await;
    found(&cluster, "mode", Severity::Warning, "one hash tag");
}

#[tokio::test]
async fn whether_a_durability_can_be_had() {
    let server = Server::builder().append_only("everysec").start().await;
    let has_waitaof = server.version().await.number >= (7, 2, 0);
    let disk = async |lease| {
        let doctor = Doctor::new(server.url()).unwrap().durability(Durability::LocalDisk).lease(lease);
        doctor.examine().await.unwrap()
    };
    let refused = |diagnosis: &Diagnosis| -> Vec<String> {
        diagnosis.findings.iter().filter(|finding| finding.refused).map(|finding| finding.setting.clone()).collect()
    };
    let missing = if has_waitaof { vec![] } else { vec!["WAITAOF"] };
    assert_eq!(refused(&disk(Duration::from_secs(8)).await), missing);
    assert!(refused(&disk(Duration::from_secs(7)).await).contains(&"appendfsync".to_owned()));
    ask(&server, "CONFIG SET appendfsync always").await;
    assert_eq!(refused(&disk(Duration::from_secs(1)).await), missing);
    ask(&server, "CONFIG SET appendfsync no").await;
    assert!(refused(&disk(Duration::from_secs(8)).await).contains(&"appendfsync".to_owned()));
    ask(&server, "CONFIG SET appendonly no").await;
    assert!(refused(&disk(Duration::from_secs(8)).await).contains(&"appendonly".to_owned()));
}

#[tokio::test]
async fn what_the_user_may_not_do() {
    let server = Server::start().await;
    let url = format!("redis://worker:secret@127.0.0.1:{}/", server.port());
    let enough = "ACL SETUSER worker reset on >secret ~orders ~out ~atomic-streams:* +info +config|get +time +evalsha +script|load +xread \
                  +type +exists +hget +hmget +hset +hdel +persist +xinfo|stream +xinfo|groups +xinfo|consumers +xrange +xadd +xdel +xtrim \
                  +xsetid +xgroup|create +xgroup|createconsumer +xgroup|setid";
    let examine = async |durability| {
        let doctor = Doctor::new(&url).unwrap().subscription(STREAM, GROUP).output("out").output("other");
        let diagnosis = doctor.durability(durability).examine().await.unwrap();
        println!("{diagnosis}\n");
        diagnosis
    };
    let lacking = |diagnosis: &Diagnosis, severity: Severity| -> Vec<String> {
        let lacking = diagnosis.findings.iter().filter(|each| each.severity == severity);
        lacking.filter_map(|each| each.setting.strip_prefix("ACL ").map(str::to_owned)).collect()
    };
    ask(&server, enough).await;
    let diagnosis = examine(Durability::Applied).await;
    assert_eq!(lacking(&diagnosis, Severity::Error), ["XADD", "TYPE"], "for another output than the one allowed");
    found(&diagnosis, "ACL XADD", Severity::Error, "on `other`");
    let optional = ["XDEL", "XTRIM", "HLEN", "HSCAN", "UNLINK", "PUBLISH", "SUBSCRIBE"];
    assert_eq!(lacking(&diagnosis, Severity::Note), optional);

    ask(&server, "ACL SETUSER worker ~other +hlen +hscan +unlink +publish +subscribe &atomic-streams:*").await;
    let diagnosis = examine(Durability::Applied).await;
    found(&diagnosis, "ACL", Severity::Note, "all that a consumer needs");
    assert_eq!(lacking(&examine(Durability::Replicas(1)).await, Severity::Error), ["WAIT"]);
    assert_eq!(lacking(&examine(Durability::LocalDisk).await, Severity::Error), ["WAITAOF"]);

    ask(&server, "ACL SETUSER worker -xgroup|setid -hset").await;
    assert_eq!(lacking(&examine(Durability::Applied).await, Severity::Error), ["HSET", "XGROUP SETID"]);
    ask(&server, "ACL SETUSER worker -evalsha").await;
    found(&examine(Durability::Applied).await, "ACL", Severity::Error, "+evalsha");
}

#[tokio::test]
async fn what_is_refused_stays_unknown() {
    let server = Server::builder().append_only("always").start().await;
    ask(&server, "ACL SETUSER worker on >secret ~* +@all -info -config").await;
    let url = format!("redis://worker:secret@127.0.0.1:{}/", server.port());
    let diagnosis = Doctor::new(&url).unwrap().examine().await.unwrap();
    println!("{diagnosis}");
    assert_eq!(diagnosis.server, "a server of unknown version");
    for (setting, words) in [
        ("version", "`INFO` is refused (NOPERM"),
        ("appendonly", "`CONFIG GET` is refused (NOPERM"),
        ("maxmemory-policy", "`CONFIG GET` is refused (NOPERM"),
        ("role", "`INFO` is refused (NOPERM"),
        ("timeout", "`CONFIG GET` is refused (NOPERM"),
    ] {
        let finding = found(&diagnosis, setting, Severity::Unknown, words);
        assert!(finding.to_string().starts_with("unknown: "), "{finding}");
    }
    assert_eq!(diagnosis.worst(), Severity::Unknown);
    assert!(diagnosis.server_crash.contains("is unknown"), "{}", diagnosis.server_crash);
    assert!(diagnosis.failover.contains("is unknown"), "{}", diagnosis.failover);
    // A consumer starts all the same.
    let handler = handler_fn(async |_: Fields, _: &mut Transaction| Ok(()));
    let consumer = Consumer::builder(STREAM, GROUP).redis_url(url).handler(handler).spawn().await.unwrap();
    within(consumer.shutdown()).await.unwrap();
}

#[tokio::test]
async fn what_info_has_too_is_known_without_config() {
    let server = Server::builder().append_only("everysec").start().await;
    ask(&server, "ACL SETUSER worker on >secret ~* +@all -config").await;
    let url = format!("redis://worker:secret@127.0.0.1:{}/", server.port());
    let diagnosis = Doctor::new(&url).unwrap().examine().await.unwrap();
    found(&diagnosis, "appendfsync", Severity::Unknown, "`CONFIG GET` is refused (NOPERM");
    found(&diagnosis, "role", Severity::Note, "accepts writes");
    found(&diagnosis, "maxmemory", Severity::Note, "nothing is evicted");
    assert!(diagnosis.server_crash.contains("one of its machine can lose is unknown"), "{}", diagnosis.server_crash);
}

#[tokio::test]
async fn a_diagnosis_as_text_and_as_data() {
    let diagnosis = examined_with(&[("--maxmemory", "1gb"), ("--maxmemory-policy", "allkeys-lru")]).await;
    let text = diagnosis.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], diagnosis.server);
    assert!(lines[1].starts_with("error: maxmemory-policy = allkeys-lru: "), "{text}");
    assert!(lines[2].starts_with("warning: "), "{text}");
    assert_eq!(lines[lines.len() - 2..], [&diagnosis.server_crash, &diagnosis.failover]);
    let data = serde_json::to_value(&diagnosis).unwrap();
    assert_eq!(data["server"], diagnosis.server.as_str());
    assert_eq!(data["findings"][0]["severity"], "error");
    assert_eq!(data["findings"][0]["value"], "allkeys-lru");
    assert_eq!(data["findings"][0]["refused"], true);
}

#[tokio::test]
async fn nobody_there_or_nobody_let_in() {
    let server = Server::builder().password("secret").start().await;
    let examine = async |url: String| Doctor::new(&url).unwrap().examine().await.unwrap_err().kind();
    assert_eq!(examine(format!("redis://127.0.0.1:{}/", server.port())).await, ErrorKind::Denied);
    assert_eq!(examine(format!("redis://:wrong@127.0.0.1:{}/", server.port())).await, ErrorKind::Denied);
    server.kill();
    assert_eq!(examine(server.url().to_owned()).await, ErrorKind::Unavailable);
    assert_eq!(Doctor::new("nonsense").unwrap_err().kind(), ErrorKind::InvalidConfig);
}

/// What the library logs on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_process_warns_once_of_each_server() {
    let log = Log::default();
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || lines.clone()).finish();
    let _guard = subscriber.set_default();
    let warnings = || {
        let bytes = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(bytes).unwrap().matches("keeps nothing on disk").count()
    };
    let servers = [Server::start().await, Server::start().await];
    for round in 0..3 {
        for (number, server) in servers.iter().enumerate() {
            let handler = handler_fn(async |_: Fields, _: &mut Transaction| Ok(()));
            let builder = Consumer::builder(STREAM, format!("group-{round}")).redis_url(server.url());
            let consumer = builder.handler(handler).spawn().await.unwrap();
            assert_eq!(warnings(), if round == 0 { number + 1 } else { 2 });
            within(consumer.shutdown()).await.unwrap();
        }
    }
}
