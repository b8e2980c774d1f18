//! Servers in containers, where a Docker engine answers.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::{env, fs};

use redis::AsyncCommands;
use support::{Process, Server, ServerBuilder, container_engine_answers, eventually};

/// The image `ATOMIC_STREAMS_TEST_IMAGE`, else one of this machine's own server, else a public one. `None` where
/// there is no engine to run it.
fn image() -> Option<String> {
    if !container_engine_answers() {
        eprintln!("skipped: no Docker engine answers");
        return None;
    }
    Some(env::var("ATOMIC_STREAMS_TEST_IMAGE").unwrap_or_else(|_| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/test-image");
        let made = Command::new(script).output().unwrap();
        let name = String::from_utf8(made.stdout).unwrap();
        if made.status.success() { name.trim().to_owned() } else { "redis:7".to_owned() }
    }))
}

fn container() -> Option<ServerBuilder> {
    Some(Server::builder().container(&image()?))
}

#[tokio::test]
async fn a_container_answers_and_is_gone_after_drop() {
    let Some(builder) = container() else { return };
    let server = builder.start().await;
    let mut connection = server.connection().await;
    assert_eq!(redis::cmd("PING").query_async::<String>(&mut connection).await.unwrap(), "PONG");
    let id: String = connection.xadd("stream", "1-1", &[("field", "value")]).await.unwrap();
    assert_eq!(id, "1-1");
    assert!(server.is_alive() && server.log().contains("Ready to accept connections"));
    assert!(server.version().await.number >= (6, 0, 0));

    let published = format!("publish={}", server.port());
    assert_eq!(containers(&published).len(), 1);
    drop(server);
    assert!(containers(&published).is_empty(), "the container outlives the drop");
}

#[tokio::test]
async fn a_container_keeps_its_port_and_its_file_through_kill_and_restart() {
    let Some(builder) = container() else { return };
    let server = builder.append_only("always").start().await;
    let port = server.port();
    let () = server.connection().await.xadd("stream", "1-1", &[("field", "value")]).await.unwrap();
    server.kill();
    eventually("the container has ended", async || !server.is_alive()).await;
    server.restart().await;
    assert_eq!(server.port(), port);
    let length: usize = server.connection().await.xlen("stream").await.unwrap();
    assert_eq!(length, 1);
    server.stop().await;
    assert!(!server.is_alive());
}

#[tokio::test]
async fn a_paused_container_answers_when_it_is_resumed() {
    let Some(builder) = container() else { return };
    let server = builder.start().await;
    let mut connection = server.connection().await;
    server.pause();
    let increment = tokio::spawn(async move { connection.incr::<_, _, i64>("counter", 1).await });
    assert!(server.is_alive() && !increment.is_finished());
    server.resume();
    assert_eq!(increment.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_container_can_follow_another() {
    let (Some(primary), Some(replica)) = (container(), container()) else { return };
    let primary = primary.start().await;
    let replica = replica.replica_of(&primary).start().await;
    let () = primary.connection().await.set("key", "value").await.unwrap();
    let mut connection = replica.connection().await;
    let value =
        eventually("the replica has the key", async || connection.get::<_, Option<String>>("key").await.unwrap());
    assert_eq!(value.await, "value");
}

/// A process of its own is the later run: each sweeps once.
#[tokio::test]
async fn a_container_that_a_killed_run_left_is_swept() {
    let Some(image) = image() else { return };
    // The number of a process that has ended.
    let mut process = Command::new("true").spawn().unwrap();
    process.wait().unwrap();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let label = format!("atomic-streams-test={} {}", host.trim(), process.id());
    let left = docker(&["create", "--label", &label, &image]);
    let left = format!("id={}", left.trim());

    let later = Process::binary(env::current_exe().unwrap());
    let later = later.args(["--exact", "a_container_answers_and_is_gone_after_drop"]).start();
    assert!(later.wait().await.success(), "{}", later.output());
    // Another test may be at it too.
    eventually("the container is swept", async || containers(&left).is_empty()).await;
}

/// The containers, running or not, that a filter finds.
fn containers(filter: &str) -> Vec<String> {
    docker(&["ps", "--all", "--quiet", "--filter", filter]).lines().map(str::to_owned).collect()
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
