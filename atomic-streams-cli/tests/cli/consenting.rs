//! Asking before something is done, and dry runs.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::ran::TOOL;
use crate::shop::{DEAD, Shop};

/// All that takes something away, or moves it.
async fn grave(shop: &mut Shop) -> Vec<String> {
    let letter = shop.letters(DEAD).await.remove(0);
    shop.admin.keep("sales", "audit", "copy").await.unwrap();
    vec![
        "seek sales audit --to start".into(),
        "seek sales audit --to end --keep new".into(),
        "reset sales inventory-tracker".into(),
        "reset sales inventory-tracker --since 1h --keep new".into(),
        "delete sales audit".into(),
        "copies put-back sales audit copy --keep new".into(),
        "copies drop sales audit copy".into(),
        "dead-letters requeue sales:dead --all".into(),
        format!("dead-letters drop sales:dead {letter}"),
        "dead-letters drop sales:dead --all".into(),
        "trim sales --exact".into(),
    ]
}

#[tokio::test]
async fn nothing_is_done_that_nobody_confirms() {
    let mut shop = Shop::at_rest().await;
    let lines = grave(&mut shop).await;
    let before = shop.dump().await;
    for line in lines {
        for input in ["", "y\n"] {
            let ran = shop.run_with(&line, input).await;
            let error = ran.refused(6);
            assert!(error.contains("nothing was done") && error.contains("say --yes"), "{line}: {error}");
        }
        assert_eq!(shop.dump().await, before, "{line}");
    }
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let mut shop = Shop::at_rest().await;
    let letter = shop.letters(DEAD).await.remove(0);
    let mut lines = grave(&mut shop).await;
    lines.extend([
        "keep sales audit another".into(),
        format!("dead-letters requeue sales:dead {letter}"),
        "dead-letters unpark orders billing Ada".into(),
        "publish sales sku=A-1 quantity=1".into(),
        "publish sales --object '{\"sku\":\"A-1\"}'".into(),
    ]);
    let before = shop.dump().await;
    for line in lines {
        let text = shop.run(&format!("{line} --dry-run")).await.done();
        assert!(text.contains("would"), "{line}: {text}");
        assert_eq!(shop.run(&format!("{line} --dry-run --json")).await.json()["dry_run"], true, "{line}");
        assert_eq!(shop.dump().await, before, "{line}");
    }
}

/// What it says on a terminal, where `answer` is typed.
async fn on_a_terminal(shop: &Shop, line: &str, answer: &str) -> (i32, String) {
    typed(shop, &format!("{TOOL} {line}"), answer).await
}

/// What a shell's line says on a terminal.
async fn typed(shop: &Shop, line: &str, answer: &str) -> (i32, String) {
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--echo", "never", "--command", line, "/dev/null"]);
    command.env("REDIS_URL", shop.server.url()).env("TERM", "xterm").env_remove("NO_COLOR");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(answer.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    drop(stdin);
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn on_a_terminal_it_asks() {
    let mut shop = Shop::at_rest().await;
    let before = shop.dump().await;
    for answer in ["n\n", "\n", "yep\n"] {
        let (code, text) = on_a_terminal(&shop, "delete sales audit", answer).await;
        assert_eq!(code, 6, "{text}");
        assert!(
            text.contains("its position") && text.contains("Go on? [y/N]") && text.contains("nothing was done"),
            "{text}"
        );
        assert_eq!(shop.dump().await, before);
    }
    let (code, text) = on_a_terminal(&shop, "delete sales audit", "y\n").await;
    assert_eq!(code, 0, "{text}");
    shop.run("show sales audit").await.refused(3);
}

#[tokio::test]
async fn a_table_is_as_wide_as_the_terminal_and_breaks_no_id() {
    let shop = Shop::at_rest().await;
    let plain = shop.run("doctor").await.done();
    assert!(plain.lines().any(|line| line.len() > 100), "{plain}");
    for columns in [72, 80] {
        let line = format!("stty cols {columns}; {TOOL}");
        for command in ["doctor", "dead-letters ls orders:dead", "ls"] {
            if columns == 72 && command.starts_with("dead") {
                continue;
            }
            let (code, text) = typed(&shop, &format!("{line} {command} --color never"), "").await;
            let text = text.replace("\r\n", "\n");
            // What the progress leaves on the line is cleared before the table.
            let table = text.rsplit_once("\u{1b}[2K").map_or(text.as_str(), |(_, table)| table);
            let longest =
                table.lines().take_while(|line| !line.starts_with("A crash")).map(|line| line.chars().count()).max();
            assert!(code == 0 && longest.is_some_and(|longest| longest <= columns), "{command}: {text}");
        }
    }
    // Where not even the figures fit, the terminal breaks the lines.
    let (_, text) = typed(&shop, &format!("stty cols 50; {TOOL} dead-letters ls orders:dead --color never"), "").await;
    let ids = shop.letters("orders:dead").await;
    assert!(ids.iter().all(|id| text.contains(id)) && text.contains(&shop.id(3).to_string()), "{text}");
    assert!(text.contains("TRIES") && text.contains("orders  billing"), "{text}");
}

#[tokio::test]
async fn progress_is_shown_on_a_terminal_alone() {
    let mut shop = Shop::at_rest().await;
    let (_, text) = on_a_terminal(&shop, "dead-letters requeue sales:dead --all --dry-run", "").await;
    assert!(text.contains("looking at dead letters"), "{text:?}");
    let (_, text) = on_a_terminal(&shop, "keep sales audit copy", "").await;
    assert!(text.contains("keeping a copy"), "{text:?}");
    assert!(shop.dump().await.contains_key("atomic-streams:{sales}:audit@copy:copy"));
    assert_eq!(
        shop.run("dead-letters requeue sales:dead --all --dry-run").await.done(),
        "1 letter would be requeued\n"
    );
}

#[tokio::test]
async fn colours_are_for_terminals_and_can_be_switched_off() {
    let shop = Shop::at_rest().await;
    let escape = '\u{1b}';
    let (_, text) = on_a_terminal(&shop, "ls", "").await;
    assert!(text.contains(&format!("{escape}[1mSTREAM")), "{text:?}");
    for line in ["ls --color never", "ls --json"] {
        let (_, text) = on_a_terminal(&shop, line, "").await;
        assert!(!text.contains(&format!("{escape}[1m")), "{line}: {text:?}");
    }
    assert!(!shop.run("ls").await.done().contains(escape));
    assert!(shop.run("ls --color always").await.done().contains(&format!("{escape}[1mSTREAM")));
    for line in ["ls", "show no no"] {
        let (_, text) = typed(&shop, &format!("NO_COLOR=1 {TOOL} {line}"), "").await;
        assert!(!text.contains(&format!("{escape}[1")), "{text:?}");
    }
    let (_, text) = on_a_terminal(&shop, "show no no", "").await;
    assert!(text.contains(&format!("{escape}[1;31merror:")), "{text:?}");
}
