//! docs/command-line.md: every command in it is run, in its order, and says what stands there.
//!
//! What differs from run to run counts as equal: IDs that were not given, as long as each stands for the same entry
//! throughout; times; spans; the server's version. `ATOMIC_STREAMS_WRITE_GOLDEN=1` writes the outputs anew.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use regex::{Captures, Regex};

use crate::help::{all, help};
use crate::shop::Shop;

/// The time of the first sale on the page: 2026-01-01T08:00:00Z.
const FIRST_MS: u64 = 1_767_254_400_000;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/command-line.md")
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

/// The entries of the page and those of this run.
struct Ids {
    actual: HashMap<String, String>,
    shown: HashMap<String, String>,
    shift_ms: u64,
    id: Regex,
    time: Regex,
}

impl Ids {
    fn new(first_ms: u64) -> Self {
        let (id, time) = (regex(r"\b\d{13}-\d+\b"), regex(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"));
        Self { actual: HashMap::new(), shown: HashMap::new(), shift_ms: first_ms - FIRST_MS, id, time }
    }

    fn actual_of(&self, line: &str) -> String {
        let id = |found: &Captures<'_>| {
            let known = self.actual.get(&found[0]).cloned();
            known.unwrap_or_else(|| shifted(&found[0], |ms| ms + self.shift_ms))
        };
        self.id.replace_all(line, id).into_owned()
    }

    /// Those that are in the same place are the same.
    fn bind(&mut self, shown: &str, actual: &str) {
        for (shown, actual) in shown.lines().zip(actual.lines()) {
            let of = |line: &str| self.id.find_iter(line).map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
            let (shown, actual) = (of(shown), of(actual));
            if shown.len() == actual.len() {
                for (shown, actual) in shown.into_iter().zip(actual) {
                    if !self.actual.contains_key(&shown) && !self.shown.contains_key(&actual) {
                        self.actual.insert(shown.clone(), actual.clone());
                        self.shown.insert(actual, shown);
                    }
                }
            }
        }
    }

    fn shown_of(&self, text: &str) -> String {
        let id = |found: &Captures<'_>| {
            let known = self.shown.get(&found[0]).cloned();
            known.unwrap_or_else(|| shifted(&found[0], |ms| ms - self.shift_ms))
        };
        let time = |found: &Captures<'_>| {
            let with_ms = found.get(1).is_some();
            let time: jiff::Timestamp = found[0].parse().unwrap();
            let time = jiff::Timestamp::from_millisecond(time.as_millisecond() - self.shift_ms as i64).unwrap();
            if with_ms { format!("{time:.3}") } else { format!("{time:.0}") }
        };
        let text = self.time.replace_all(text, time);
        self.id.replace_all(&text, id).into_owned()
    }
}

fn shifted(id: &str, by: impl Fn(u64) -> u64) -> String {
    let (ms, seq) = id.split_once('-').unwrap();
    format!("{}-{seq}", by(ms.parse().unwrap()))
}

/// Without what differs from run to run.
pub(crate) fn comparable(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, by) in [
        (r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", "TIME"),
        (r"[+-]?\b\d+ (ms|s|min|h|d)\b", "SPAN"),
        (r"\b\d+ bytes", "N bytes"),
        (r#""(lag_ms|lease_left_ms|memory_bytes)": \d+"#, "\"$1\": N"),
        (r"\(\d+ connected\)", "(N connected)"),
        (r"\badministration/\d+", "administration/N"),
        (r"\b\d+ commands allowed", "N commands allowed"),
        (r"\b(Redis|Valkey) [\d.]+", "SERVER"),
        (r" {2,}", "  "),
    ] {
        text = regex(pattern).replace_all(&text, by).into_owned();
    }
    text
}

/// A command of the page, and what it says there.
struct Shown {
    command: String,
    output: String,
}

/// The page in parts: text as it is, and blocks of commands.
enum Part {
    Text(String),
    Block(Vec<Shown>),
}

fn parts(page: &str) -> Vec<Part> {
    let (mut parts, mut text, mut block) = (Vec::new(), String::new(), None::<Vec<Shown>>);
    for line in page.split_inclusive('\n') {
        match (&mut block, line) {
            (None, "```console\n") => {
                parts.push(Part::Text(std::mem::take(&mut text)));
                block = Some(Vec::new());
            }
            (Some(_), "```\n") => parts.extend(block.take().map(Part::Block)),
            (Some(block), line) => match (line.strip_prefix("$ "), block.last_mut()) {
                (Some(command), _) => block.push(Shown { command: command.trim_end().into(), output: String::new() }),
                (None, Some(last)) => last.output.push_str(line),
                (None, None) => panic!("a block begins with a command: {line}"),
            },
            (None, line) => text.push_str(line),
        }
    }
    parts.push(Part::Text(text));
    parts
}

#[tokio::test]
async fn every_command_of_the_page_says_what_stands_there() {
    check(&path(), &Shop::busy().await, 30).await;
}

/// Runs the commands of a page, more than `least` of them, in this shop.
pub(crate) async fn check(path: &Path, shop: &Shop, least: usize) {
    let (mut ids, mut wrong, mut code) = (Ids::new(shop.first_ms), Vec::new(), 0);
    let (mut page, mut commands) = (String::new(), 0);
    for part in parts(&fs::read_to_string(path).unwrap()) {
        let block = match part {
            Part::Text(text) => {
                page += &text;
                continue;
            }
            Part::Block(block) => block,
        };
        page += "```console\n";
        for Shown { command, output } in block {
            let said = if command == "echo $?" {
                format!("{code}\n")
            } else {
                let line =
                    command.strip_prefix("atomic-streams ").unwrap_or_else(|| panic!("not a command: {command}"));
                let ran = shop.run(&ids.actual_of(line)).await;
                code = ran.code;
                ran.stdout + &ran.stderr
            };
            commands += 1;
            ids.bind(&output, &said);
            let said = ids.shown_of(&said);
            if comparable(&said) != comparable(&output) {
                wrong.push(format!("$ {command}\n{said}"));
            }
            page += &format!("$ {command}\n{said}");
        }
        page += "```\n";
    }
    if std::env::var_os("ATOMIC_STREAMS_WRITE_GOLDEN").is_some() {
        fs::write(path, page).unwrap();
        return;
    }
    assert!(commands > least, "{commands}");
    assert!(wrong.is_empty(), "the page says something else than this:\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_page_names_every_command_option_and_exit_code() {
    let page = fs::read_to_string(path()).unwrap();
    let option = regex(r"--[a-z][a-z-]+");
    for command in all().await {
        let name = command.join(" ");
        if !matches!(name.as_str(), "" | "copies" | "dead-letters") {
            assert!(page.contains(&format!("atomic-streams {name}")), "{name} is not on the page");
        }
        for option in option.find_iter(&help(&command).await) {
            assert!(
                matches!(option.as_str(), "--help" | "--version") || page.contains(option.as_str()),
                "{name} {}",
                option.as_str()
            );
        }
    }
    for code in 0..=6 {
        assert!(page.contains(&format!("| {code} |")), "exit code {code}");
    }
}
