//! Servers of a test's own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use redis::AsyncCommands;
use support::{Process, Server, Version, eventually};

#[tokio::test]
async fn a_server_answers_and_is_gone_after_drop() {
    let server = Server::start().await;
    let mut connection = server.connection().await;
    let () = connection.set("key", 1).await.unwrap();
    let folder: (String, String) =
        redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut connection).await.unwrap();
    let (pid, folder) = (server.pid(), folder.1);
    assert!(server.is_alive() && exists(pid) && Path::new(&folder).exists());

    drop(server);
    assert!(!exists(pid), "the process outlives the drop");
    assert!(!Path::new(&folder).exists(), "the data folder outlives the drop");
}

#[tokio::test]
async fn parallel_servers_get_ports_of_their_own() {
    let servers = [Server::start().await, Server::start().await, Server::start().await];
    for server in &servers {
        let () = server.connection().await.set("port", server.port()).await.unwrap();
    }
    for server in &servers {
        let port: u16 = server.connection().await.get("port").await.unwrap();
        assert_eq!(port, server.port());
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_when_the_test_insists_on_it() {
    let first = Server::start().await;
    let port = first.port();
    let second = tokio::spawn(async move { Server::builder().port(port).start().await });
    let panic = second.await.unwrap_err().into_panic();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("Address already in use"), "{message}");
    assert!(first.is_alive());
}

#[tokio::test]
async fn a_server_begins_with_a_copy_of_anothers_data_as_it_was_at_the_call() {
    let first = Server::builder().append_only("always").start().await;
    let mut connection = first.connection().await;
    let () = connection.set("key", 1).await.unwrap();
    let second = Server::builder().append_only("always").data_from(first.data_dir());
    let () = connection.set("key", 2).await.unwrap();
    let second = second.start().await;
    let mut copy = second.connection().await;
    assert_eq!(copy.get::<_, i64>("key").await.unwrap(), 1);
    let () = copy.set("key", 3).await.unwrap();
    assert_eq!(connection.get::<_, i64>("key").await.unwrap(), 2);
}

#[tokio::test]
async fn the_append_only_file_brings_data_back_after_a_kill() {
    let server = Server::builder().append_only("always").start().await;
    let (port, pid) = (server.port(), server.pid());
    let () = server.connection().await.xadd("stream", "1-1", &[("field", "value")]).await.unwrap();
    server.kill();
    assert!(!server.is_alive());

    server.restart().await;
    assert_eq!(server.port(), port);
    assert_ne!(server.pid(), pid);
    let length: usize = server.connection().await.xlen("stream").await.unwrap();
    assert_eq!(length, 1);
}

#[tokio::test]
async fn a_kill_loses_what_was_not_saved_and_a_stop_does_not() {
    let server = Server::start().await;
    let () = server.connection().await.set("saved", 1).await.unwrap();
    server.stop().await;
    assert!(!server.is_alive());
    server.restart().await;
    let () = server.connection().await.set("unsaved", 1).await.unwrap();
    server.restart().await;
    let found: (bool, bool) =
        redis::pipe().exists("saved").exists("unsaved").query_async(&mut server.connection().await).await.unwrap();
    assert_eq!(found, (true, false));
}

#[tokio::test]
async fn a_paused_server_answers_when_it_is_resumed() {
    let server = Server::start().await;
    let mut connection = server.connection().await;
    server.pause();
    assert!(server.is_alive());
    let increment = tokio::spawn(async move { connection.incr::<_, _, i64>("counter", 1).await });
    eventually("the server is stopped", async || state(server.pid()) == Some('T')).await;
    assert!(!increment.is_finished());
    server.resume();
    assert_eq!(increment.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_paused_server_can_be_killed() {
    let server = Server::start().await;
    server.pause();
    server.kill();
    assert!(!server.is_alive());
}

#[tokio::test]
async fn a_replica_follows_its_primary_and_can_take_over() {
    let primary = Server::start().await;
    let replica = Server::builder().replica_of(&primary).start().await;
    let () = primary.connection().await.set("key", "value").await.unwrap();
    let mut connection = replica.connection().await;
    let value =
        eventually("the replica has the key", async || connection.get::<_, Option<String>>("key").await.unwrap());
    assert_eq!(value.await, "value");

    primary.kill();
    let () = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async(&mut replica.connection().await).await.unwrap();
    let () = replica.connection().await.set("key", "newer").await.unwrap();
}

#[tokio::test]
async fn a_server_with_a_password_asks_for_it() {
    let server = Server::builder().password("secret").start().await;
    let () = server.connection().await.set("key", 1).await.unwrap();
    let stranger = redis::Client::open(format!("redis://{}/", server.addr())).unwrap();
    let mut stranger = stranger.get_multiplexed_async_connection().await.unwrap();
    let refused = stranger.set::<_, _, ()>("key", 2).await.unwrap_err();
    assert_eq!(refused.code(), Some("NOAUTH"));
}

#[tokio::test]
async fn a_server_tells_its_version_and_its_log() {
    let server = Server::start().await;
    let Version { number: (major, ..), .. } = server.version().await;
    assert!(major >= 6);
    assert!(server.log().contains("Ready to accept connections"), "{}", server.log());
}

#[tokio::test]
async fn a_server_with_a_wrong_option_says_why_it_does_not_start() {
    let start = tokio::spawn(async { Server::builder().arg("--no-such-option", "1").start().await });
    let panic = start.await.unwrap_err().into_panic();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("no-such-option"), "{message}");
}

#[tokio::test]
#[should_panic(expected = "waited 20 s in vain for this: pigs fly")]
async fn a_wait_is_bounded() {
    tokio::time::pause();
    eventually("pigs fly", async || false).await;
}

#[tokio::test]
#[should_panic(expected = "waited 20 s in vain for this: an answer")]
async fn a_wait_is_bounded_even_if_the_condition_hangs() {
    tokio::time::pause();
    eventually("an answer", async || std::future::pending::<bool>().await).await;
}

/// The test runs this file's own test binary as the process that is killed.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_does_not_outlive_a_killed_test() {
    let test = Process::binary(std::env::current_exe().unwrap())
        .args(["--exact", "servers::start_a_server_and_wait_for_the_end", "--nocapture"])
        .env("ATOMIC_STREAMS_HARNESS_CHILD", "1")
        .start();
    let line = test.wait_for_line(|line| line.contains("server pid ")).await;
    let pid: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(exists(pid));
    test.kill();
    eventually("the server ends with its test", async || !exists(pid)).await;
}

/// The child of the test above; on its own it has nothing to do.
#[tokio::test]
async fn start_a_server_and_wait_for_the_end() {
    if std::env::var_os("ATOMIC_STREAMS_HARNESS_CHILD").is_some() {
        let server = Server::start().await;
        println!("\nserver pid {}", server.pid());
        tokio::time::timeout(Duration::from_secs(60), std::future::pending::<()>()).await.unwrap_err();
    }
}

/// Whether a process exists and is more than a zombie nobody has reaped.
fn exists(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// The state of a process as the kernel gives it: `T` is stopped.
fn state(pid: u32) -> Option<char> {
    if !cfg!(target_os = "linux") {
        let ps = Command::new("ps").args(["-o", "state=", "-p", &pid.to_string()]).output().unwrap();
        return String::from_utf8(ps.stdout).unwrap().trim().chars().next();
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
