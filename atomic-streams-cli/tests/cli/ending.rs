//! Exit codes, broken pipes, secrets.

use std::process::Stdio;

use redis::AsyncCommands;
use tokio::process::Command;

use crate::ran::{TOOL, run_with, words};
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

/// The rule stands on the page, and each part of it is needed.
#[tokio::test]
async fn who_may_only_look_can_look_and_change_nothing() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/command-line.md")).unwrap();
    let rule = page.split_once("```text\n~*").map(|(_, rest)| rest.split_once("```").unwrap().0).unwrap();
    let rights: Vec<&str> = rule.split_whitespace().collect();
    let mut shop = Shop::at_rest().await;
    shop.admin.keep("sales", "audit", "copy").await.unwrap();
    let url = shop.server.url().replace("redis://", "redis://looker:secret@");
    let letter = shop.letters("sales:dead").await.remove(0);
    let looks = async |shop: &mut Shop, rights: &[&str]| -> Option<String> {
        let rule = [&["reset", "on", ">secret", "~*"], rights].concat();
        let () = redis::cmd("ACL").arg("SETUSER").arg("looker").arg(&rule).query_async(&mut shop.redis).await.unwrap();
        // Whoever comes first has to send the scripts.
        let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut shop.redis).await.unwrap();
        for line in [
            "ls",
            "show sales audit",
            "state sales inventory-tracker",
            "state sales audit --copy copy",
            "lag",
            "tail sales",
            "tail sales --from start",
            "copies ls sales audit",
            "dead-letters ls sales:dead",
            &format!("dead-letters show sales:dead {letter}"),
            "dead-letters search sales:dead --text cannot",
            "dead-letters requeue orders:dead --all --dry-run",
            "dead-letters parked orders billing",
            "trim sales --dry-run",
            "seek sales audit --to start --dry-run",
        ] {
            let ran = run_with(Some(&url), &words(line).iter().map(String::as_str).collect::<Vec<_>>(), "").await;
            if ran.code != 0 {
                return Some(format!("{line}: {ran:?}"));
            }
        }
        None
    };
    assert_eq!(looks(&mut shop, &rights).await, None);
    for left_out in &rights {
        let fewer: Vec<&str> = rights.iter().copied().filter(|right| right != left_out).collect();
        assert!(looks(&mut shop, &fewer).await.is_some(), "{left_out} is not needed");
    }
    assert_eq!(looks(&mut shop, &rights).await, None);
    let before = shop.dump().await;
    for line in [
        "seek sales audit --to start --yes",
        "reset sales audit --yes",
        "delete sales audit --yes",
        "keep sales audit another",
        "copies put-back sales audit copy --yes",
        "copies drop sales audit copy --yes",
        "dead-letters requeue sales:dead --all --yes",
        "dead-letters drop sales:dead --all --yes",
        "dead-letters unpark orders billing Ada",
        "trim sales --exact --yes",
        "publish sales a=b",
    ] {
        let ran = run_with(Some(&url), &words(line).iter().map(String::as_str).collect::<Vec<_>>(), "").await;
        assert!(ran.code == 1 && !ran.stderr.contains("secret"), "{line}: {ran:?}");
        assert_eq!(shop.dump().await, before, "{line}");
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
