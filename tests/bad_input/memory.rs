//! How much memory a consumer takes for entries that are large, as the kernel counts it.

use std::time::Duration;

use atomic_streams::{Consumer, Fields, Transaction, handler_fn};
use support::{Process, eventually_within};

use crate::bench::{Bench, GROUP, LIMIT, STREAM};

const URL: &str = "BAD_INPUT_WORKER_URL";
const ENTRIES: &str = "BAD_INPUT_WORKER_ENTRIES";

const MIB: u64 = 1 << 20;
/// As much as is read ahead by default.
const VALUE: usize = 16 << 20;

/// The most that this process had in memory at once.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// As a process of its own: handles so many entries, slower than they are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_a_test_binary_in_another_role() {
    let (Ok(url), Ok(entries)) = (std::env::var(URL), std::env::var(ENTRIES)) else { return };
    println!("at first: {}", peak_bytes());
    let entries: u64 = entries.parse().unwrap();
    let handler = handler_fn(async |fields: Fields, _: &mut Transaction| {
        // Whatever may be read ahead is read in this time.
        if fields.size_bytes() > 1_000 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            println!("handled");
        }
        Ok(())
    });
    let builder = Consumer::builder(STREAM, GROUP).redis_url(url).lease(Duration::from_secs(60));
    let consumer = builder.handler(handler).spawn().await.unwrap();
    eventually_within(LIMIT, "all entries are handled", async || consumer.stats().processed == entries).await;
    println!("peak: {}", peak_bytes());
}

/// The peak of a process that handles small entries and then large ones, above what it needs for itself.
async fn peak(small: usize, large: usize) -> u64 {
    let mut bench = Bench::start().await;
    for n in 0..small {
        bench.add(STREAM, &[("n", n.to_string())].into_iter().collect()).await;
    }
    let value: Fields = [("v", vec![b'x'; VALUE])].into_iter().collect();
    for _ in 0..large {
        bench.add(STREAM, &value).await;
    }
    let test = std::env::current_exe().unwrap();
    let worker = Process::binary(test).args(["--exact", "memory::is_a_test_binary_in_another_role", "--nocapture"]);
    let worker = worker.env(URL, bench.server.url()).env(ENTRIES, (small + large).to_string()).start();
    let number = |line: String| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    let first = number(worker.wait_for_line(|line| line.contains("at first: ")).await);
    // One by one: each has its time.
    for handled in 1..=large {
        worker.wait_for_lines(handled, |line| line == "handled").await;
    }
    let peak = number(worker.wait_for_line(|line| line.contains("peak: ")).await);
    assert!(peak > VALUE as u64, "{peak}");
    println!("{} MiB for {large} of 16 MiB after {small} small ones", (peak - first) / MIB);
    peak - first
}

/// One is handled, one waits, one is on its way, with what the connection needs to put its reply together.
/// Buffers there grow by doubling.
const BOUND: u64 = 10 * VALUE as u64;

#[tokio::test]
async fn large_entries_in_a_row_are_read_one_at_a_time() {
    let peak = peak(0, 16).await;
    assert!(peak < BOUND, "{} MiB", peak / MIB);
}

#[tokio::test]
async fn a_small_entry_before_large_ones_does_not_make_them_come_together() {
    let peak = peak(1, 16).await;
    assert!(peak < BOUND, "{} MiB", peak / MIB);
}
