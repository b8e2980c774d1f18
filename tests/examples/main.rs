//! Every example runs, with a server and without one, and says what it should.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use support::{Process, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Runs an example to its end on a server, and then on the in-memory store; its output must hold these lines in this order.
async fn says(name: &str, lines: &[&str]) {
    let server = Server::start().await;
    let on_server = Process::example(name).env("REDIS_URL", server.url()).start();
    check(&on_server, lines).await;
    in_memory(name, lines).await;
}

async fn in_memory(name: &str, lines: &[&str]) {
    // With nothing on the PATH, an example finds no server.
    let process = Process::example(name).env_remove("REDIS_URL").env("PATH", "/nonexistent").start();
    process.wait_for_line(|line| line.contains("this runs on the in-memory store")).await;
    check(&process, lines).await;
}

async fn check(process: &Process, lines: &[&str]) {
    let status = process.wait().await;
    let output = process.output();
    assert!(status.success(), "{status}:\n{output}");
    let mut rest = output.as_str();
    for line in lines {
        let found = rest.find(line).unwrap_or_else(|| panic!("`{line}` is missing, or not in its place:\n{output}"));
        rest = &rest[found + line.len()..];
    }
}

#[tokio::test]
async fn stateless_confirms_each_order() {
    says(
        "stateless",
        &[
            "added order 3",
            "published: Thank you, Ada: order 1 is on its way.",
            "published: Thank you, Grace: order 2 is on its way.",
            "published: Thank you, Barbara: order 3 is on its way.",
        ],
    )
    .await;
}

#[tokio::test]
async fn stateful_goes_on_with_its_averages() {
    says(
        "stateful",
        &[
            "shut down after 3 readings",
            "the attic has 20.0 °C",
            "the attic has 22.0 °C",
            "the cellar has 11.0 °C",
            "the attic has 24.0 °C",
        ],
    )
    .await;
}

#[tokio::test]
async fn routing_fills_each_output() {
    says("routing", &["payments:fi: 1250, 990", "payments:pt: 2000000, 40", "audit: 2000000"]).await;
}

#[tokio::test]
async fn large_state_sells_each_order_once() {
    says(
        "large_state",
        &[
            "sold one of each of 2000 articles",
            "sent order 7 again, and order 7000 twice",
            "published: 89 of A-7 are left, one of 2000 articles",
            "published 2001 times",
        ],
    )
    .await;
}

#[tokio::test]
async fn dead_letters_are_shown_and_put_back() {
    says(
        "dead_letters",
        &[
            "committed 5 entries, 3 of them as dead letters",
            "grace, tried 1: the account is closed",
            "busy, tried 3: the account is busy",
            "ada, tried 1: ",
            "put back 2 payments",
            "committed 2 entries, 1 of them as dead letters",
            "balance of ada: 100",
            "balance of ada: 500",
            "balance of grace: 200",
        ],
    )
    .await;
}

#[tokio::test]
async fn inventory_is_right_after_a_crash() {
    let server = Server::start().await;
    let process = Process::example("inventory").env("REDIS_URL", server.url()).start();
    let lines = ["adding 2,000 sales", "killed it with SIGKILL", "every sale was applied exactly once"];
    check(&process, &lines).await;
    in_memory("inventory", &["applied 2000 sales"]).await;
}

#[tokio::test]
async fn tracing_shows_one_trace() {
    says(
        "tracing",
        &[
            "added a basket as",
            "baskets: traceparent = 00-",
            "invoices: traceparent = 00-",
            "\n  checkout\n",
            "    publish baskets [Producer]\n",
            "      process baskets [Consumer] by till, attempt 1: the printer is busy\n",
            "      process baskets [Consumer] by till, attempt 2\n",
            "        print an invoice\n",
            "          process invoices [Consumer] by mail, attempt 1\n",
            "6 spans, all of one trace",
        ],
    )
    .await;
}

#[tokio::test]
async fn testing_passes_its_own_tests() {
    let process = Process::example("testing").env("PATH", "/nonexistent").start();
    check(&process, &["writes a receipt: passed", "changes nothing: passed", "nothing is paid twice"]).await;
}

#[tokio::test]
async fn graceful_shutdown_ends_on_ctrl_c() {
    let server = Server::start().await;
    let process = Process::example("graceful_shutdown").env("REDIS_URL", server.url()).start();
    process.wait_for_line(|line| line.contains("two consumers are running")).await;
    process.interrupt();
    check(
        &process,
        &["because of Ctrl-C", "fast: committed", "released its lease", "slow: committed", "released its lease"],
    )
    .await;
}

#[tokio::test]
async fn graceful_shutdown_ends_on_sigterm() {
    let server = Server::start().await;
    let process = Process::example("graceful_shutdown").env("REDIS_URL", server.url()).start();
    process.wait_for_line(|line| line.contains("two consumers are running")).await;
    process.terminate();
    check(&process, &["because of SIGTERM", "fast: committed", "slow: committed"]).await;
}

/// Asks a server for a page: the status line, and the body.
async fn get(address: &str, path: &str) -> (String, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// Asks the example for everything that it serves, until figures of all kinds are there.
async fn scrape(process: &Process) {
    let line = process.wait_for_line(|line| line.contains("serving http://")).await;
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let labels = "{stream=\"payments\",group=\"till\"";
    let is_above_zero = |body: &str, name: &str| {
        let start = format!("{name}{labels}}} ");
        body.lines().any(|line| line.strip_prefix(&start).is_some_and(|value| value.parse::<f64>().unwrap() > 0.0))
    };
    support::eventually("all of it is served", async || {
        let (status, body) = get(&address, "/metrics").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        let wanted = ["active", "dead_lettered_total", "retried_total", "commit_latency_seconds_count"];
        body.contains(&format!("atomic_streams_commit_latency_seconds_bucket{labels},le=\"0.001\"}}"))
            && wanted.iter().all(|name| is_above_zero(&body, &format!("atomic_streams_{name}")))
    })
    .await;
    for path in ["/ready", "/live"] {
        assert_eq!(get(&address, path).await, ("HTTP/1.1 200 OK".to_owned(), "it is active\n".to_owned()));
    }
    assert_eq!(get(&address, "/").await.0, "HTTP/1.1 404 Not Found");
    process.interrupt();
    check(process, &["committed ", " payments"]).await;
}

#[tokio::test]
async fn prometheus_serves_figures_and_probes() {
    let server = Server::start().await;
    let example = || Process::example("prometheus").args(["--listen", "127.0.0.1:0"]);
    scrape(&example().env("REDIS_URL", server.url()).start()).await;
    scrape(&example().env_remove("REDIS_URL").env("PATH", "/nonexistent").start()).await;
}

#[tokio::test]
async fn inventory_consumes_for_others_until_it_is_told_to_end() {
    let server = Server::start().await;
    let mut connection = server.connection().await;
    let process =
        Process::example("inventory").args(["--consume", "--lease-ms", "1000"]).env("REDIS_URL", server.url()).start();
    for quantity in [5, 90] {
        let added =
            redis::cmd("XADD").arg("sales").arg("*").arg("sku").arg("A").arg("quantity").arg(quantity).to_owned();
        added.query_async::<()>(&mut connection).await.unwrap();
    }
    let alerts: Vec<(String, Vec<String>)> = support::eventually("an alert", async || {
        let alerts: Vec<(String, Vec<String>)> =
            redis::cmd("XRANGE").arg("restock-alerts").arg("-").arg("+").query_async(&mut connection).await.unwrap();
        (!alerts.is_empty()).then_some(alerts)
    })
    .await;
    assert_eq!(alerts[0].1, ["sku", "A", "stock", "5"]);
    process.terminate();
    assert!(process.wait().await.success(), "{}", process.output());
    let lease: String = redis::cmd("HGET")
        .arg("atomic-streams:{sales}:inventory-tracker")
        .arg("@lease")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(lease, "0");
}
