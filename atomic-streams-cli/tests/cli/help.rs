//! Help texts as they were last seen by a person, completions, manuals.
//!
//! `ATOMIC_STREAMS_WRITE_GOLDEN=1 cargo test -p atomic-streams-cli --test cli help` writes them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::ran::run_with;

/// A command and those below it, as its help names them.
pub(crate) async fn all() -> Vec<Vec<String>> {
    let (mut found, mut next) = (Vec::new(), vec![Vec::new()]);
    while let Some(command) = next.pop() {
        let help = help(&command).await;
        let listed = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
        for line in listed.lines().take_while(|line| line.starts_with("  ")) {
            let name = line.trim_start().split(' ').next().unwrap();
            if line.starts_with("  ") && !line.starts_with("   ") && name != "help" {
                next.push([command.clone(), vec![name.to_owned()]].concat());
            }
        }
        found.push(command);
    }
    found
}

pub(crate) async fn help(command: &[String]) -> String {
    let mut args: Vec<&str> = command.iter().map(String::as_str).collect();
    args.push("--help");
    run_with(None, &args, "").await.done()
}

#[tokio::test]
async fn help_texts_are_those_that_were_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let writes = std::env::var_os("ATOMIC_STREAMS_WRITE_GOLDEN").is_some();
    let (mut names, mut wrong) = (BTreeSet::new(), Vec::new());
    let commands = all().await;
    assert!(commands.len() > 25, "{commands:?}");
    for command in commands {
        let name = if command.is_empty() { "atomic-streams".to_owned() } else { command.join("-") } + ".txt";
        let (path, text) = (folder.join(&name), help(&command).await);
        if writes {
            fs::write(&path, &text).unwrap();
        } else if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            wrong.push(format!("{name} is now:\n{text}"));
        }
        names.insert(name);
    }
    let there = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    wrong.extend(there.filter(|name| !names.contains(name)).map(|name| format!("{name} is of no command")));
    assert!(wrong.is_empty(), "read them, and write them with ATOMIC_STREAMS_WRITE_GOLDEN=1:\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn help_and_manual_say_every_exit_code() {
    let texts = [help(&[]).await, run_with(None, &["man"], "").await.done()];
    for text in &texts {
        for code in [
            "0  done",
            "1  failed",
            "2  the command line",
            "3  not found",
            "4  in use",
            "5  a limit",
            "6  not confirmed",
        ] {
            assert!(text.contains(code), "{code}: {text}");
        }
    }
    assert!(texts[1].starts_with(".ie") || texts[1].contains(".TH atomic-streams 1"), "{}", texts[1]);
}

#[tokio::test]
async fn manuals_of_all_commands_are_written_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    run_with(None, &["man", "--dir", folder.path().to_str().unwrap()], "").await.done();
    for name in ["atomic-streams.1", "atomic-streams-seek.1", "atomic-streams-dead-letters-requeue.1"] {
        assert!(folder.path().join(name).exists(), "{name}");
    }
    let error = run_with(None, &["man", "--dir", "/nonexistent/folder"], "").await.refused(1);
    assert!(error.contains("/nonexistent/folder"), "{error}");
}

#[tokio::test]
async fn completions_are_scripts_that_bash_reads_and_that_complete() {
    for (shell, holds) in [
        ("zsh", "#compdef atomic-streams"),
        ("fish", "complete -c atomic-streams"),
        ("elvish", "atomic-streams"),
        ("powershell", "atomic-streams"),
    ] {
        let script = run_with(None, &["completions", shell], "").await.done();
        assert!(script.contains(holds) && script.contains("dead-letters"), "{shell}");
    }
    let script = run_with(None, &["completions", "bash"], "").await.done();
    let asks = "\nCOMP_WORDS=(atomic-streams dead-l); COMP_CWORD=1; _atomic__streams atomic-streams dead-l; echo \"${COMPREPLY[@]}\"\n";
    let mut bash = Command::new("bash").arg("--norc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = bash.stdin.take().unwrap();
    stdin.write_all((script + asks).as_bytes()).await.unwrap();
    drop(stdin);
    let output = bash.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "dead-letters");
}
