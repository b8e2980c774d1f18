//! What the user may do.

use std::collections::BTreeSet;

use super::{Aim, Facts, Findings, Severity};
use crate::persist::CollectionKind;
use crate::protocol::Subscription;

/// Questions about commands, and the answers.
#[derive(Clone, Debug)]
pub struct Rights {
    pub questions: Vec<Question>,
    /// One for each question, or why there are none.
    pub answers: Result<Vec<Answer>, Refused>,
}

/// A command that is needed, with arguments that name its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub words: Vec<String>,
    /// The key or channel that it is about.
    pub key: Option<String>,
    /// What does not work without it, where the consumer itself does.
    pub only_for: Option<&'static str>,
}

/// What the server says of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Allowed,
    Denied,
    /// The server has no such command.
    NoCommand,
}

/// Why nothing was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The user may not even ask: it may run no scripts.
    pub is_denied: bool,
    pub words: String,
}

/// What a consumer of the subscription needs, and of these outputs.
pub fn questions(subscription: &Subscription, outputs: &BTreeSet<String>, aim: Aim) -> Vec<Question> {
    let (record, stream, group) = (subscription.record(), subscription.stream(), subscription.group());
    let mut all = Vec::new();
    let mut ask = |words: &[&str], key: &str, only_for: Option<&'static str>| {
        let key = (!key.is_empty()).then(|| key.to_owned());
        all.push(Question { words: words.iter().map(|word| (*word).to_owned()).collect(), key, only_for });
    };
    for command in [&["TYPE", record][..], &["EXISTS", record], &["HSET", record, "f", "v"], &["HGET", record, "f"]] {
        ask(command, record, None);
    }
    for command in [&["HMGET", record, "f"][..], &["HDEL", record, "f"], &["PERSIST", record]] {
        ask(command, record, None);
    }
    ask(&["TIME"], "", None);
    for command in [
        &["TYPE", stream][..],
        &["XINFO", "STREAM", stream],
        &["XINFO", "GROUPS", stream],
        &["XINFO", "CONSUMERS", stream, group],
        &["XRANGE", stream, "-", "+"],
        &["XREAD", "STREAMS", stream, "0-0"],
        &["XSETID", stream, "0-0"],
        &["XGROUP", "CREATE", stream, group, "0-0", "MKSTREAM"],
        &["XGROUP", "CREATECONSUMER", stream, group, "c"],
        &["XGROUP", "SETID", stream, group, "0-0"],
    ] {
        ask(command, stream, None);
    }
    for output in outputs {
        ask(&["XADD", output, "*", "f", "v"], output, None);
        ask(&["TYPE", output], output, None);
        ask(&["XDEL", output, "0-1"], output, Some("to undo a commit that fails midway"));
        ask(&["XTRIM", output, "MAXLEN", "1"], output, Some("to trim what is published"));
    }
    if aim.durability.waits() {
        let command = aim.durability.command();
        let words: &[&str] = if aim.durability.on_disk() { &[command, "1", "0", "1"] } else { &[command, "1", "1"] };
        ask(words, "", None);
    }
    let map = subscription.collection(CollectionKind::Map, "f");
    for command in [&["HLEN", &map][..], &["HSCAN", &map, "0"], &["UNLINK", &map]] {
        ask(command, "", Some("for fields of any size (StateMap and its like)"));
    }
    ask(&["PUBLISH", record, ""], record, Some("to wake a standby at once"));
    ask(&["SUBSCRIBE", record], record, Some("for a standby to be woken at once"));
    all
}

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    let Some(Rights { questions, answers }) = &facts.rights else { return };
    let answers = match answers {
        Ok(answers) => answers,
        Err(refused) if refused.is_denied => {
            let meaning = "the user may not run scripts, which is what a consumer does: allow `+evalsha +script|load`";
            return findings.add(Severity::Error, "ACL", &refused.words, meaning);
        }
        Err(refused) => return findings.unknown(facts, "ACL", &format!("what the user may do ({})", refused.words)),
    };
    let before = findings.0.len();
    for (question, answer) in questions.iter().zip(answers) {
        let (value, why) = match answer {
            Answer::Allowed => continue,
            Answer::Denied => ("denied", "allow it"),
            Answer::NoCommand => ("no such command", "use a server that has it"),
        };
        let command = question.command();
        let of = question.key.as_ref().map(|key| format!(" on `{key}`")).unwrap_or_default();
        let (severity, meaning) = match question.only_for {
            None => (Severity::Error, format!("a consumer needs {command}{of}: {why}")),
            Some(what) => (Severity::Note, format!("{command}{of} is needed {what}: {why}")),
        };
        findings.add(severity, &format!("ACL {command}"), value, meaning);
    }
    if findings.0.len() == before {
        findings.add(
            Severity::Note,
            "ACL",
            format_args!("{} commands allowed", answers.len()),
            "the user may do all that a consumer needs",
        );
    }
}

impl Question {
    /// The command, with its subcommand.
    fn command(&self) -> String {
        let words = if matches!(self.words[0].as_str(), "XINFO" | "XGROUP") { 2 } else { 1 };
        self.words[..words].join(" ")
    }
}
