//! What a user may not do: refused at the start, or withdrawn under a running consumer.

use atomic_streams::{ConsumerBuilder, ConsumerHandle, ErrorKind};
use redis::AsyncCommands;
use support::Server;

use crate::bench::{Bench, consumer, ended};
use crate::ledger::{Ledger, OUTPUT, RECORD};

/// What a consumer needs, and no more: each of these is missed when it is not there.
const COMMANDS: [&str; 20] = [
    "evalsha",
    "script|load",
    "xread",
    "time",
    "hmget",
    "hget",
    "hset",
    "hdel",
    "exists",
    "persist",
    "type",
    "xinfo|stream",
    "xinfo|groups",
    "xinfo|consumers",
    "xrange",
    "xgroup|create",
    "xgroup|createconsumer",
    "xgroup|setid",
    "xsetid",
    "xadd",
];

const KEYS: &str = "~numbers ~running-sums ~copies ~atomic-streams:*";

/// Makes the user what these rules say, and nothing else.
async fn user(bench: &mut Bench, keys: &str, rules: &str) {
    bench.run(&format!("ACL SETUSER worker reset on >secret {keys} {rules}")).await;
}

/// The rules of the commands, but for one.
fn all_but(missing: &str) -> String {
    let rules: Vec<String> = COMMANDS
        .iter()
        .chain(&["xdel", "xtrim"])
        .filter(|name| **name != missing)
        .map(|name| format!("+{name}"))
        .collect();
    rules.join(" ")
}

fn as_worker(bench: &Bench) -> ConsumerBuilder<Ledger> {
    consumer(&format!("redis://worker:secret@{}/", bench.proxy.addr()))
}

#[tokio::test]
async fn the_smallest_set_of_permissions_is_enough() {
    let mut bench = Bench::start().await;
    user(&mut bench, KEYS, &all_but("")).await;
    let consumer = as_worker(&bench).spawn().await.unwrap();
    bench.add(0..100).await;
    bench.settled_exactly().await;
    bench.renewals(1).await;
    let report = consumer.shutdown().await.unwrap();
    assert!(report.released);
    assert_eq!(consumer.stats().recoveries, 0);
}

#[tokio::test]
async fn each_missing_command_refuses_the_start_and_is_named() {
    let mut bench = Bench::start().await;
    // Outputs are known only when they are published to.
    for missing in COMMANDS.iter().filter(|name| **name != "xadd") {
        user(&mut bench, KEYS, &all_but(missing)).await;
        let error = as_worker(&bench).spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "without {missing}: {error}");
        let words = error.to_string().to_lowercase();
        assert!(words.contains(&missing.replace('|', " ")) || words.contains(missing), "without {missing}: {error}");
        let keys: Vec<String> = bench.redis.keys("*").await.unwrap();
        assert_eq!(keys, Vec::<String>::new(), "without {missing}, something was written");
    }
}

#[tokio::test]
async fn an_output_that_may_not_be_written_ends_the_consumer_with_nothing_half_done() {
    let mut bench = Bench::start().await;
    user(&mut bench, "~numbers ~running-sums ~atomic-streams:*", "+@all").await;
    let consumer = as_worker(&bench).handler(Ledger::default().and_to("copies")).spawn().await.unwrap();
    bench.add(0..20).await;
    let error = ended(&consumer).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("`copies`"), "{error}");
    bench.books().await.assert_are_of(&[]);

    user(&mut bench, KEYS, "+@all").await;
    let _consumer = as_worker(&bench).handler(Ledger::default().and_to("copies")).spawn().await.unwrap();
    bench.settled_exactly().await;
}

#[tokio::test]
async fn a_command_withdrawn_under_load_ends_the_consumer_with_nothing_half_done() {
    for (withdrawn, named) in [("xadd", OUTPUT), ("hset", RECORD), ("xdel", OUTPUT), ("evalsha", "evalsha")] {
        let mut bench = Bench::start().await;
        user(&mut bench, KEYS, "+@all").await;
        let consumer = as_worker(&bench).spawn().await.unwrap();
        bench.add(0..2_000).await;
        bench.processed(1).await;
        bench.run(&format!("ACL SETUSER worker -{withdrawn}")).await;
        let error = ended(&consumer).await;
        assert_eq!(error.kind(), ErrorKind::Denied, "without {withdrawn}: {error}");
        assert!(error.to_string().contains(named), "without {withdrawn}: {error}");
        bench.check().await;
        assert_eq!(taken_back(&mut bench).await, 0, "without {withdrawn}, sums were published and taken back");

        bench.run("ACL SETUSER worker +@all").await;
        let _consumer = as_worker(&bench).spawn().await.unwrap();
        bench.settled_exactly().await;
    }
}

/// How many sums were published at some time and are not there any more.
async fn taken_back(bench: &mut Bench) -> u64 {
    let info: Vec<redis::Value> =
        redis::cmd("XINFO").arg("STREAM").arg(OUTPUT).query_async(&mut bench.redis).await.unwrap();
    let field = |name: &str| -> u64 {
        let at = info.iter().position(|value| *value == redis::Value::BulkString(name.into())).unwrap();
        redis::from_redis_value(info[at + 1].clone()).unwrap()
    };
    field("entries-added") - field("length")
}

#[tokio::test]
async fn an_output_that_one_command_may_not_write_is_found_before_anything_is_published() {
    let mut bench = Bench::start().await;
    let mut rules = redis::cmd("ACL");
    rules.arg("SETUSER").arg("worker").arg("on").arg(">secret").arg("~*").arg("+@all").arg("-xadd");
    // A second set of rules, so that the other output fails no earlier than at its own XADD.
    let () = rules.arg("(+xadd ~running-sums)").query_async(&mut bench.redis).await.unwrap();
    let consumer = as_worker(&bench).handler(Ledger::default().and_to("copies")).spawn().await.unwrap();
    bench.add(0..20).await;
    let error = ended(&consumer).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("`copies`") && error.to_string().contains("XADD"), "{error}");
    bench.books().await.assert_are_of(&[]);
    assert!(!bench.redis.exists::<_, bool>(OUTPUT).await.unwrap());
}

#[tokio::test]
async fn an_output_withdrawn_while_running_leaves_nothing_of_the_outputs_before_it() {
    let mut bench = Bench::start().await;
    user(&mut bench, KEYS, "+@all").await;
    let handler = Ledger::default().and_to("copies");
    let consumer = as_worker(&bench).handler(handler.clone()).spawn().await.unwrap();
    bench.add(0..20).await;
    bench.settled_exactly().await;
    user(&mut bench, "~numbers ~running-sums ~atomic-streams:*", "+@all").await;
    bench.add(20..40).await;
    let error = ended(&consumer).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("copies"), "{error}");
    bench.books().await.assert_are_of(&(0..20).collect::<Vec<_>>());
}

/// A consumer that publishes to two outputs, and has done so.
async fn publishing_twice() -> (Bench, ConsumerHandle) {
    let mut bench = Bench::start().await;
    user(&mut bench, KEYS, "+@all").await;
    let handler = Ledger::default().and_to("copies");
    let consumer = as_worker(&bench).handler(handler).spawn().await.unwrap();
    bench.add(0..20).await;
    bench.settled_exactly().await;
    (bench, consumer)
}

#[tokio::test]
async fn a_publish_that_could_not_be_undone_is_not_begun() {
    let (mut bench, consumer) = publishing_twice().await;
    // The second output refuses, and the first could not be taken back.
    let () = bench.redis.set("copies", "a string").await.unwrap();
    bench.run("ACL SETUSER worker -xdel").await;
    bench.add(20..40).await;
    let error = ended(&consumer).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    bench.books().await.assert_are_of(&(0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_right_to_undo_is_asked_for_each_output() {
    let (mut bench, consumer) = publishing_twice().await;
    let rules = ["ACL", "SETUSER", "worker", "-xdel", "(~running-sums +xdel)"];
    let () = redis::cmd(rules[0]).arg(&rules[1..]).query_async(&mut bench.redis).await.unwrap();
    bench.add(20..40).await;
    let error = ended(&consumer).await;
    assert!(error.kind() == ErrorKind::Denied && error.to_string().contains("copies"), "{error}");
    bench.books().await.assert_are_of(&(0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_wrong_password_or_none_refuses_the_start() {
    let bench = Bench::with(Server::builder().password("secret")).await;
    for url in [format!("redis://:guess@{}/", bench.proxy.addr()), bench.proxy.url()] {
        let error = consumer(&url).spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("credentials"), "{error}");
        assert!(!error.to_string().contains("guess"), "the password is shown: {error}");
    }
    let user = format!("redis://nobody:secret@{}/", bench.proxy.addr());
    assert_eq!(consumer(&user).spawn().await.unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn a_password_changed_under_a_running_consumer_ends_it_at_its_next_connection() {
    let mut bench = Bench::with(Server::builder().password("secret")).await;
    let consumer = consumer(&format!("redis://:secret@{}/", bench.proxy.addr())).spawn().await.unwrap();
    bench.add(0..20).await;
    bench.settled_exactly().await;
    bench.run("CONFIG SET requirepass other").await;
    bench.add(20..40).await;
    bench.settled_exactly().await;
    bench.proxy.cut_all();
    assert_eq!(ended(&consumer).await.kind(), ErrorKind::Denied);
    bench.check().await;
}
