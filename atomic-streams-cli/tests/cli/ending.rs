//! Exit codes, broken pipes, secrets.

use std::process::Stdio;

use redis::AsyncCommands;
use tokio::process::Command;

use crate::ran::{TOOL, run_with};
use crate::shop::Shop;

#[tokio::test]
async fn each_exit_code_has_its_case() {
    let shop = Shop::busy().await;
    for (line, code) in [
        ("ls", 0),
        ("state sales inventory-tracker --copy no", 3),
        ("show sales no", 3),
        ("lag no audit", 3),
        ("tail no", 3),
        ("dead-letters ls no", 3),
        ("dead-letters parked sales no", 3),
        ("delete sales inventory-tracker --yes", 4),
        ("lag --max 1", 5),
        ("seek sales audit --to start", 6),
        ("show sales", 2),
        ("nonsense", 2),
        ("show '' g", 2),
        ("tail sales -n 20000", 2),
    ] {
        let ran = shop.run(line).await;
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert_eq!(ran.stderr.is_empty(), matches!(code, 0 | 5), "{line}: {ran:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_failure_that_says_where_to_look() {
    let shop = Shop::empty().await;
    shop.server.kill();
    for line in ["ls", "doctor", "publish a b=c", "dead-letters ls a", "trim a --yes", "tail a"] {
        let error = shop.run(line).await.refused(1);
        assert!(error.contains("REDIS_URL"), "{line}: {error}");
        assert_eq!(error.contains("may have been added"), line.starts_with("publish"), "{line}: {error}");
    }
}

#[tokio::test]
async fn a_stream_of_another_kind_is_named() {
    let mut shop = Shop::empty().await;
    let () = shop.redis.set("text", "no stream").await.unwrap();
    for line in ["tail text", "dead-letters ls text", "trim text --yes", "publish text a=b"] {
        let error = shop.run(line).await.refused(1);
        assert!(error.contains("text"), "{line}: {error}");
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_it_quietly() {
    let mut shop = Shop::empty().await;
    for n in 0..2_000_u64 {
        shop.sell(n + 1, &"x".repeat(200), 1).await;
    }
    let line = format!("{TOOL} tail sales --from start | head -n 1; echo \"code ${{PIPESTATUS[0]}}\"");
    let mut command = Command::new("bash");
    command.arg("-c").arg(&line).env("REDIS_URL", shop.server.url()).stderr(Stdio::piped());
    let output = command.output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.lines().count() == 2 && out.ends_with("code 0\n") && err.is_empty(), "{out} {err}");
}

#[tokio::test]
async fn no_password_is_ever_shown() {
    let server = support::Server::builder().password("hunter2").start().await;
    let good = server.url().to_owned();
    let bad = good.replace("hunter2", "hunter3");
    assert!(bad.contains("hunter3"), "{bad}");
    assert_eq!(run_with(Some(&good), &["ls"], "").await.done(), "no subscriptions in this database\n");
    for url in [
        bad.as_str(),
        "redis://:hunter4@host:port",
        "hunter5",
        "redis+sentinel://:hunter6@/",
        "rediss://:hunter7@127.0.0.1:1",
    ] {
        for args in [&["ls"][..], &["doctor"], &["publish", "a", "b=c"], &["--url", url, "ls"]] {
            let ran = run_with(Some(url), args, "").await;
            assert!(matches!(ran.code, 1 | 2), "{ran:?}");
            assert!(!ran.stderr.contains("hunter") && !ran.stdout.contains("hunter"), "{ran:?}");
        }
    }
    for args in [&["--help"][..], &["ls", "--help"], &["nonsense"], &["man"]] {
        let ran = run_with(Some(&good), args, "").await;
        assert!(!ran.stderr.contains("hunter") && !ran.stdout.contains("hunter"), "{ran:?}");
    }
}

#[tokio::test]
async fn certificates_need_an_address_for_tls() {
    let shop = Shop::empty().await;
    let error = shop.run("ls --ca-cert /nonexistent/ca.pem").await.refused(2);
    assert!(error.contains("/nonexistent/ca.pem"), "{error}");
    let error = shop.run("ls --ca-cert /etc/hostname").await.refused(2);
    assert!(error.contains("rediss://"), "{error}");
    shop.run("ls --client-cert /etc/hostname").await.refused(2);
}
