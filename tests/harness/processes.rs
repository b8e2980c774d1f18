//! Child processes.

use std::os::unix::process::ExitStatusExt;
use std::panic::AssertUnwindSafe;

use support::{Process, Rng, eventually};

fn shell(script: &str) -> Process {
    Process::binary("/bin/sh").args(["-c", script]).env("GREETING", "hello").start()
}

#[tokio::test]
async fn lines_of_both_streams_are_seen() {
    let process = shell("echo $GREETING; echo problem >&2; echo hello again; exit 3");
    assert_eq!(process.wait_for_line(|line| line.starts_with("prob")).await, "problem");
    assert_eq!(process.wait_for_lines(2, |line| line.contains("hello")).await, ["hello", "hello again"]);
    assert_eq!(process.wait().await.code(), Some(3));
    assert_eq!(process.lines().len(), 3);
    assert!(!process.is_alive());
}

#[tokio::test]
async fn a_line_that_never_comes_shows_the_output() {
    let process = AssertUnwindSafe(shell("echo something else; exit 1"));
    let wait = tokio::spawn(async move { process.wait_for_line(|line| line == "ready").await });
    let panic = wait.await.unwrap_err().into_panic();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("something else"), "{message}");
}

#[tokio::test]
async fn signals_arrive() {
    let script =
        "trap 'echo terminated' TERM; trap 'echo interrupted; exit 0' INT; echo ready; while :; do read x; done";
    let process = Process::binary("/bin/bash").args(["-c", &script.replace("read x", "sleep 0.01")]).start();
    process.wait_for_line(|line| line == "ready").await;
    process.terminate();
    process.wait_for_line(|line| line == "terminated").await;
    process.pause();
    assert!(process.is_alive());
    process.resume();
    process.interrupt();
    assert_eq!(process.wait().await.code(), Some(0));
    assert_eq!(process.lines().last().unwrap(), "interrupted");
}

#[tokio::test]
async fn a_process_may_be_given_an_empty_path() {
    let process = Process::binary("/bin/sh").args(["-c", "echo \"($PATH)\""]).env("PATH", "").start();
    assert_eq!(process.wait_for_line(|_| true).await, "()");
}

#[tokio::test]
async fn a_kill_is_a_kill() {
    let process = shell("echo ready; exec sleep 1000");
    process.wait_for_line(|line| line == "ready").await;
    assert_eq!(process.kill().signal(), Some(9));
    assert_eq!(process.wait().await.signal(), Some(9));
}

#[tokio::test]
async fn a_dropped_process_is_gone() {
    let process = shell("echo ready; exec sleep 1000");
    process.wait_for_line(|line| line == "ready").await;
    let folder = format!("/proc/{}", process.pid());
    drop(process);
    eventually("the process is gone", async || !std::path::Path::new(&folder).exists()).await;
}

#[test]
fn the_same_seed_gives_the_same_choices() {
    let choices = |seed| {
        let mut rng = Rng::new(seed);
        let mut items: Vec<u64> = (0..10).collect();
        rng.shuffle(&mut items);
        (rng.next_u64(), rng.below(10), rng.percent(50), *rng.pick(&items), items)
    };
    assert_eq!(choices(7), choices(7));
    assert_ne!(choices(7), choices(8));
    let mut sorted = choices(7).4;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..10).collect::<Vec<_>>());
}
