//! Commits that a server's end cuts in two: on their way into the append-only file, and in the middle of the script.

use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use atomic_streams::Doctor;
use atomic_streams::doctor::Severity;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use support::{Fault, Rng, Server, ServerBuilder, eventually, seed};
use tokio::task::{JoinSet, LocalSet};

use crate::bench::{Bench, LONG_LEASE, consumer, recoveries, settled};
use crate::ledger::{Books, Ledger, OUTPUT, RECORD, STREAM};

fn durable() -> ServerBuilder {
    Server::builder().append_only("always")
}

/// The second output of the ledgers here.
const COPIES: &str = "copies";

/// How many entries the torn file is about.
const ENTRIES: i64 = 5;

#[tokio::test]
async fn a_torn_append_only_file_holds_each_commit_whole_or_not_at_all_and_the_doctor_knows_of_a_second_start() {
    const AT_ONCE: usize = 4;
    let mut bench = Bench::with(durable()).await;
    let consumer = bench.consumer().lease(LONG_LEASE).handler(Ledger::default().and_to(COPIES));
    let consumer = consumer.spawn().await.unwrap();
    for n in 0..ENTRIES {
        // One by one: the last entry is in the file before the last commit.
        bench.add([n]).await;
        bench.settled_exactly().await;
    }
    bench.server.kill();
    drop(consumer);

    let file = newest_increment(bench.server.data_dir());
    let whole = fs::read(&file).unwrap();
    let commit = last_commit(&whole);
    println!("the last commit is at {commit:?} of {} bytes", whole.len());
    let boundaries = boundaries(&whole, &commit);
    let resumed = Rng::new(seed()).below(commit.len() as u64) as usize + commit.start;

    // Servers start at the same time, but the file only ever gets shorter: each begins with a copy of it.
    let every_cut = async {
        let mut running = JoinSet::new();
        for cut in commit.clone().chain([commit.end]).rev() {
            File::options().write(true).open(&file).unwrap().set_len(cut as u64).unwrap();
            let torn = durable().data_from(bench.server.data_dir());
            let kept = if cut == commit.end { ENTRIES } else { ENTRIES - 1 };
            let left = left_of(&whole, &commit, cut);
            // Around the ends of commands, and here and there inside.
            let twice = cut % 5 == 0 || boundaries.iter().any(|end| end.abs_diff(cut) <= 1);
            running.spawn_local(async move {
                println!("cut at byte {cut}");
                let server = torn.start().await;
                let mut redis = server.connection().await;
                check_both(&mut redis, kept).await;
                if cut == resumed {
                    goes_on(&server, redis).await;
                } else if twice {
                    starts_again(&server, redis, kept, &left, Before::of(cut)).await;
                }
            });
            if running.len() == AT_ONCE {
                running.join_next().await.unwrap().unwrap();
            }
        }
        while let Some(done) = running.join_next().await {
            done.unwrap();
        }
    };
    LocalSet::new().run_until(every_cut).await;
}

/// Of the entries, which are all there, so many are committed.
async fn check_both(redis: &mut MultiplexedConnection, committed: i64) {
    let entries: i64 = redis.xlen(STREAM).await.unwrap();
    assert_eq!(entries, ENTRIES);
    for output in [OUTPUT, COPIES] {
        let books = Books::read(redis, STREAM, RECORD, output).await;
        assert_eq!(books.handled, (0..committed).collect::<Vec<_>>(), "the position is another");
        books.assert_are_of(&books.handled);
    }
}

/// What the torn file left out is made again.
async fn goes_on(server: &Server, mut redis: MultiplexedConnection) {
    // As its owner's release would have done.
    let () = redis.hset(RECORD, "@lease", 0).await.unwrap();
    let ledger = Ledger::default().and_to(COPIES);
    let consumer = consumer(server.url()).handler(ledger).spawn().await.unwrap();
    settled(&mut redis, STREAM, RECORD).await;
    check_both(&mut redis, ENTRIES).await;
    consumer.shutdown().await.unwrap();
}

/// What happens between the first start with a torn file and the second.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// A transaction, as any commit is one in the file.
    Transaction,
    /// A write that is none.
    Write,
    /// The way out: the file is written anew, and then a transaction follows.
    Rewrite,
}

impl Before {
    fn of(cut: usize) -> Self {
        [Self::Transaction, Self::Write, Self::Rewrite][cut % 3]
    }
}

/// The whole commands of the commit that a server keeps which cuts a torn file behind the last of them: the key that each
/// writes to. `None` where the file ends outside the transaction, or between two commands.
fn left_of(aof: &[u8], commit: &Range<usize>, cut: usize) -> Option<Vec<String>> {
    let (_, mut at) = command(aof, commit.start);
    let (mut keys, begins) = (Vec::new(), commit.start + 1..commit.end);
    if cut < at || !begins.contains(&cut) {
        return None;
    }
    while at < cut {
        let (words, end) = command(aof, at);
        if end > cut {
            return Some(keys);
        }
        keys.push(String::from_utf8_lossy(words.get(1).copied().unwrap_or_default()).into_owned());
        at = end;
    }
    None
}

/// Where the commands of the commit begin and end.
fn boundaries(aof: &[u8], commit: &Range<usize>) -> Vec<usize> {
    let next = |at: &usize| (*at < commit.end).then(|| command(aof, *at).1);
    std::iter::successors(Some(commit.start), next).collect()
}

/// The server is killed once more, and starts with what the first start has made of the file.
async fn starts_again(
    server: &Server,
    mut redis: MultiplexedConnection,
    committed: i64,
    left: &Option<Vec<String>>,
    before: Before,
) {
    let cuts_inside = known_to_cut_inside_transactions(server).await;
    if let Before::Rewrite = before {
        rewrite(&mut redis).await;
    }
    let mut writes = redis::pipe();
    match before {
        Before::Write => writes.set("after", 1).ignore(),
        Before::Transaction | Before::Rewrite => writes.atomic().set("after", 1).ignore().set("more", 1).ignore(),
    };
    let () = writes.query_async(&mut redis).await.unwrap();
    server.kill();
    server.restart().await;
    let mut redis = server.connection().await;

    let left = left.as_ref().filter(|_| cuts_inside);
    // The end of the next transaction passes for that of the one that was cut; without one, all behind it goes.
    let (replayed, lost): (&[String], bool) = match (left, before) {
        (Some(left), Before::Transaction) => (left, false),
        (Some(_), Before::Write) => (&[], true),
        _ => (&[], false),
    };
    let has = |key: &str| replayed.iter().any(|written| written == key);
    let lengths: (i64, i64) = redis::pipe().xlen(OUTPUT).xlen(COPIES).query_async(&mut redis).await.unwrap();
    let expected = (committed + i64::from(has(OUTPUT)), committed + i64::from(has(COPIES)));
    assert_eq!(lengths, expected, "{before:?}, with {left:?} left");
    let (processed, after): (i64, bool) =
        redis::pipe().hget(RECORD, "@processed").exists("after").query_async(&mut redis).await.unwrap();
    assert_eq!((processed, after), (committed + i64::from(has(RECORD)), !lost), "{before:?}, with {left:?} left");
    if replayed.is_empty() {
        check_both(&mut redis, committed).await;
    }
}

/// What the doctor says of this version: whether it cuts a torn file inside the transaction that was being written.
async fn known_to_cut_inside_transactions(server: &Server) -> bool {
    let diagnosis = Doctor::new(server.url()).unwrap().examine().await.unwrap();
    match diagnosis.of("aof-load-truncated") {
        None => false,
        Some(finding) if finding.severity == Severity::Warning => {
            assert!(finding.meaning.contains("BGREWRITEAOF"), "{finding}");
            true
        }
        Some(finding) => panic!("try it, and let the library say what is so: {finding}"),
    }
}

/// The file that a server with this data folder writes to.
fn newest_increment(data: &Path) -> PathBuf {
    let files = fs::read_dir(data.join("appendonlydir")).unwrap().map(|entry| entry.unwrap().path());
    let number =
        |path: &Path| -> Option<u64> { path.to_str()?.strip_suffix(".incr.aof")?.rsplit('.').next()?.parse().ok() };
    files.filter(|path| number(path).is_some()).max_by_key(|path| number(path)).unwrap()
}

/// Where the last transaction that publishes stands in an append-only file: from MULTI up to and with EXEC.
fn last_commit(aof: &[u8]) -> Range<usize> {
    let (mut at, mut begin, mut publishes, mut last) = (0, None, false, None);
    while at < aof.len() {
        let (command, end) = command(aof, at);
        match command[0].to_ascii_uppercase().as_slice() {
            b"MULTI" => (begin, publishes) = (Some(at), false),
            b"XADD" => publishes |= command[1] == OUTPUT.as_bytes(),
            b"EXEC" if publishes => last = Some(begin.unwrap()..end),
            _ => {}
        }
        at = end;
    }
    last.expect("a commit in the append-only file")
}

/// The command that begins at this byte, and where it ends.
fn command(aof: &[u8], mut at: usize) -> (Vec<&[u8]>, usize) {
    let number = |at: &mut usize, kind: u8| -> usize {
        assert_eq!(aof[*at], kind, "byte {at} of the append-only file begins something else");
        let length = aof[*at..].iter().position(|byte| *byte == b'\r').unwrap();
        let text = std::str::from_utf8(&aof[*at + 1..*at + length]).unwrap();
        *at += length + 2;
        text.parse().unwrap()
    };
    let words = number(&mut at, b'*');
    let words = (0..words).map(|_| {
        let length = number(&mut at, b'$');
        at += length + 2;
        &aof[at - length - 2..at - 2]
    });
    (words.collect(), at)
}

#[tokio::test]
async fn a_server_killed_in_the_middle_of_a_script_keeps_nothing_of_it() {
    ended_in_scripts(async |server, _| server.kill()).await;
}

#[tokio::test]
async fn a_server_shut_down_without_saving_in_the_middle_of_a_script_keeps_nothing_of_it() {
    ended_in_scripts(async |server, redis| {
        let mut shutdown = redis::cmd("SHUTDOWN");
        // Nothing else is obeyed by a server that is busy with a script. The answer is the end of the connection.
        let answer = shutdown.arg("NOSAVE").arg("NOW").arg("FORCE").query_async::<()>(redis).await;
        assert!(answer.is_err_and(|e| e.code().is_none()), "the server refuses");
        server.ended().await;
    })
    .await;
}

/// How often the ledgers below publish each sum to the second output: with the first, as much as one transaction takes.
/// The script of a commit then runs for some tens of ms.
const TIMES: u64 = 9_999;

/// Ends the server again and again while it runs the script of a commit, at a random instant, under one consumer.
async fn ended_in_scripts(end: impl AsyncFn(&Server, &mut MultiplexedConnection)) {
    const ROUNDS: i64 = 20;
    let mut rng = Rng::new(seed());
    // Only a server that says that it is busy can be met in the middle of a script.
    let mut bench = Bench::with(durable().arg("--busy-reply-threshold", "1")).await;
    let ledger = (0..TIMES).fold(Ledger::default(), |ledger, _| ledger.and_to(COPIES));
    let consumer = bench.consumer().lease(LONG_LEASE).handler(ledger).spawn().await.unwrap();
    bench.add([0]).await;
    let script = script_time(&mut bench.redis).await;
    bench.settled_exactly().await;

    let mut unfinished = 0;
    for round in 0..ROUNDS {
        let forgotten = forget_copies(&mut bench.redis).await;
        let before = consumer.stats().recoveries;
        bench.add([2 * round + 1, 2 * round + 2]).await;
        in_a_script(&mut bench.redis).await;
        // The first at once, so that at least one script is met before its end.
        let wait = if round == 0 { Duration::ZERO } else { script.mul_f64(rng.below(1_000) as f64 / 1_000.0) };
        tokio::time::sleep(wait).await;
        end(&bench.server, &mut bench.redis).await;

        // What the server has kept, before the consumer can add to it.
        bench.proxy.set(Fault::Reset);
        bench.server.restart().await;
        bench.redis = bench.server.connection().await;
        bench.check().await;
        let kept = check_copies(&mut bench.redis, forgotten).await - forgotten;
        println!("ended {wait:?} into a script of about {script:?}: {kept} of 2 commits kept");
        unfinished += u64::from(kept < 2);

        bench.proxy.set(Fault::Pass);
        recoveries(&consumer, before + 1).await;
        bench.settled_exactly().await;
        assert_eq!(check_copies(&mut bench.redis, forgotten).await, forgotten + 2);
    }
    assert!(unfinished > 0, "no script was met before its end");
}

/// Waits until the server is in the middle of a script.
async fn in_a_script(redis: &mut MultiplexedConnection) {
    let busy = async { while !is_busy(redis).await {} };
    tokio::time::timeout(Duration::from_secs(20), busy).await.expect("the server is never busy");
}

/// How long a script takes, from when the server says that it is busy.
async fn script_time(redis: &mut MultiplexedConnection) -> Duration {
    in_a_script(redis).await;
    let begin = Instant::now();
    let busy = async { while is_busy(redis).await {} };
    tokio::time::timeout(Duration::from_secs(20), busy).await.expect("the script has no end");
    begin.elapsed()
}

async fn is_busy(redis: &mut MultiplexedConnection) -> bool {
    match redis::cmd("PING").query_async::<()>(redis).await {
        Ok(()) => false,
        Err(error) if error.code() == Some("BUSY") => true,
        Err(error) => panic!("PING: {error}"),
    }
}

/// Empties the second output and the append-only file, so that a restart is quick. Returns how many entries have been
/// processed by then.
async fn forget_copies(redis: &mut MultiplexedConnection) -> u64 {
    let (processed,): (u64,) =
        redis::pipe().del(COPIES).ignore().hget(RECORD, "@processed").query_async(redis).await.unwrap();
    rewrite(redis).await;
    processed
}

/// Has the append-only file written anew, and waits until it is.
async fn rewrite(redis: &mut MultiplexedConnection) {
    let () = redis::cmd("BGREWRITEAOF").query_async::<redis::Value>(redis).await.map(drop).unwrap();
    let redis = redis.clone();
    eventually("the append-only file is written anew", async || {
        let info: String = redis::cmd("INFO").arg("persistence").query_async(&mut redis.clone()).await.unwrap();
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    })
    .await;
}

/// The second output holds all copies of each sum since it was emptied. Returns how many entries have been processed.
async fn check_copies(redis: &mut MultiplexedConnection, forgotten: u64) -> u64 {
    let mut pipe = redis::pipe();
    pipe.atomic().hget(RECORD, "@processed").xlen(COPIES).xrevrange_count(COPIES, "+", "-", 1);
    let (processed, length, last): (u64, u64, StreamRangeReply) = pipe.query_async(redis).await.unwrap();
    assert_eq!(length, TIMES * (processed - forgotten), "a commit's outputs are not whole");
    let last = last.ids.first().map(|copy| copy.get::<u64>("count").unwrap());
    assert_eq!(last, (processed > forgotten).then_some(processed));
    processed
}
