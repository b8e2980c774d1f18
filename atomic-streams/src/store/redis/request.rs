//! Scripts' arguments as commands; the order is that of each script's head comment.

use std::collections::HashMap;
use std::time::Duration;

use redis::Cmd;

use crate::entry::Fields;
use crate::id::EntryId;
use crate::letter::DeadLetter;
use crate::persist::CollectionChanges;
use crate::protocol::{
    AttachRequest, Commit, Head, Operation, Parking, Removal, Start, Step, Subscription, TrimRequest,
};
use crate::script::{self, Script, Scripts};
use crate::staged::{Bound, Trim};
use crate::store::parked_keys;

/// What a commit is sent with besides names and what it commits: the script's name, and numbers.
const ENVELOPE_BYTES: usize = 160;

pub(super) fn attach(scripts: &Scripts, subscription: &Subscription, request: &AttachRequest) -> Cmd {
    let mut command = evalsha(&scripts.attach, 13, 512);
    command.arg(2).arg(subscription.record()).arg(subscription.stream());
    command.arg(&request.instance).arg(request.attempt).arg(&request.owner).arg(request.lease_ms);
    command.arg(subscription.stream()).arg(subscription.group());
    match request.start {
        Start::Beginning => command.arg("0-0"),
        Start::End => command.arg("$"),
        Start::After(id) => command.arg(id.to_string()),
    };
    command.arg(&request.accepted_schema).arg(&request.new_schema);
    command.arg(request.expired_lease.as_deref().unwrap_or(""));
    let may = request.permissions;
    let letters = [
        (may.adopt_group, 'a'),
        (may.adopt_pending, 'p'),
        (may.start_over, 'n'),
        (may.read_replaced, 'r'),
        (may.skip_replaced, 's'),
        (may.stop_at_trimmed, 't'),
    ];
    command.arg(letters.iter().filter(|(allowed, _)| *allowed).map(|(_, letter)| *letter).collect::<String>());
    command
}

pub(super) fn load(subscription: &Subscription, names: &[String]) -> Cmd {
    let mut command = redis::cmd("HMGET");
    command.arg(subscription.record()).arg("@head").arg(names);
    command
}

pub(super) fn scan(
    scripts: &Scripts,
    subscription: &Subscription,
    collection: &str,
    cursor: Option<&str>,
    count: usize,
) -> Cmd {
    let mut command = evalsha(&scripts.scan, 5, 256);
    command.arg(2).arg(subscription.record()).arg(collection).arg(cursor.unwrap_or("0")).arg(count);
    command
}

pub(super) fn read(subscription: &Subscription, after: EntryId, count: usize, block: Duration) -> Cmd {
    read_many(&[(subscription.stream(), after)], count, Some(block))
}

/// Reads from many streams at once; at most `count` entries of each.
pub(super) fn read_many(streams: &[(&str, EntryId)], count: usize, block: Option<Duration>) -> Cmd {
    let mut command = Cmd::with_capacity(6 + 2 * streams.len(), 64 * (1 + streams.len()));
    command.arg("XREAD").arg("COUNT").arg(count);
    if let Some(block) = block {
        // 0 would block for ever.
        command.arg("BLOCK").arg(block.as_millis().max(1) as u64);
    }
    command.arg("STREAMS");
    for (stream, _) in streams {
        command.arg(stream);
    }
    for (_, after) in streams {
        command.arg(after.to_string());
    }
    command
}

/// Entries from `first` on.
pub(super) fn range(stream: &str, first: EntryId, count: usize) -> Cmd {
    let mut command = redis::cmd("XRANGE");
    command.arg(stream).arg(first.to_string()).arg("+").arg("COUNT").arg(count);
    command
}

pub(super) fn requeue(letters: &str, letter: &DeadLetter) -> Cmd {
    let mut command = evalsha(&script::REQUEUE, 6, 256);
    let parked = parked_keys(letter);
    command.arg(2 + usize::from(parked.is_some())).arg(letters).arg(&letter.stream).arg(&parked);
    command.arg(letter.id.to_string()).arg(if parked.is_some() { &letter.group } else { "" });
    command
}

pub(super) fn unpark(subscription: &Subscription, key: &[u8]) -> Cmd {
    let mut command = evalsha(&script::UNPARK, 5, 384);
    command.arg(3).arg(subscription.record());
    for field in [Parking::FIELD, Parking::ASKED] {
        command.arg(subscription.collection(Parking::KIND, field));
    }
    command.arg(key);
    command
}

pub(super) fn waiting(subscription: &Subscription, letters: &str, key: &[u8], after: EntryId, count: usize) -> Cmd {
    let mut command = evalsha(&script::WAITING, 8, 384);
    command.arg(2).arg(subscription.record()).arg(letters);
    command.arg(subscription.stream()).arg(subscription.group()).arg(key).arg(after.to_string()).arg(count);
    command
}

pub(super) fn trim(request: &TrimRequest) -> Cmd {
    let TrimRequest { stream, floors, removal, up_to, most, without_groups, readers } = request;
    let mut command = evalsha(&script::TRIM, 9 + 4 * readers.len(), 256 * (1 + readers.len()));
    let records: Vec<&str> = readers.iter().filter_map(|reader| reader.record.as_deref()).collect();
    command.arg(1 + records.len()).arg(stream).arg(&records);
    for floor in [floors.entries, floors.age_ms] {
        command.arg(floor.map(|floor| floor.to_string()).unwrap_or_default());
    }
    let id = |id: &Option<EntryId>| id.map(|id| id.to_string()).unwrap_or_default();
    let (how, after) = match removal {
        Removal::Rough => ("~", &None),
        Removal::Exact => ("=", &None),
        Removal::Count { after } => ("d", after),
    };
    command.arg(how).arg(id(up_to)).arg(*most).arg(id(after)).arg(if *without_groups { "g" } else { "" });
    let mut place = 1;
    for reader in readers {
        place += usize::from(reader.record.is_some());
        command.arg(&reader.group).arg(if reader.record.is_some() { place } else { 0 });
        command.arg(if reader.exists { "g" } else { "e" });
    }
    command
}

/// By its text: in a transaction, nothing may be missing when its turn comes.
pub(super) fn withdraw(letters: &str, source: &str, id: EntryId, newest: &str) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(&*script::WITHDRAW.text).arg(2).arg(letters).arg(source).arg(id.to_string()).arg(newest);
    command
}

pub(super) fn add(stream: &str, fields: &Fields) -> Cmd {
    let mut command = Cmd::with_capacity(3 + 2 * fields.len(), fields.size_bytes() + stream.len() + 16);
    command.arg("XADD").arg(stream).arg("*");
    for (name, value) in fields.iter() {
        command.arg(name).arg(value);
    }
    command
}

pub(super) fn step(scripts: &Scripts, subscription: &Subscription, token: &str, step: &Step) -> Cmd {
    match step {
        Step::Commit(commit) => self::commit(scripts, subscription, token, commit),
        Step::Renew { lease_ms, stop_at_trimmed } => {
            let mut command = evalsha(&scripts.renew, 7, 256);
            command.arg(2).arg(subscription.record()).arg(subscription.stream());
            command.arg(token).arg(*lease_ms).arg(subscription.group()).arg(if *stop_at_trimmed { "t" } else { "" });
            command
        }
        Step::Wait { durability, timeout_ms } => {
            let mut command = redis::cmd(durability.command());
            if durability.on_disk() {
                command.arg(1);
            }
            command.arg(durability.replicas()).arg((*timeout_ms).max(1)); // 0 would wait for ever.
            command
        }
        Step::Release => {
            let mut command = evalsha(&scripts.release, 3, 256);
            command.arg(1).arg(subscription.record()).arg(token);
            command
        }
    }
}

fn commit(scripts: &Scripts, subscription: &Subscription, token: &str, commit: &Commit) -> Cmd {
    let outputs = Outputs::of(&commit.operations);
    let arguments = commit.operations.iter().map(|operation| match operation {
        Operation::Publish { fields, .. } => 5 + 2 * fields.len(),
        Operation::Trim { .. } => 5,
        Operation::Remove { .. } => 4,
    });
    let collections = commit.collections.iter().map(|each| 9 + 2 * each.changes.set.len() + each.changes.removed.len());
    let arguments =
        16 + 2 * commit.fields.len() + commit.deleted.len() + arguments.sum::<usize>() + collections.sum::<usize>();
    let names =
        2 * token.len() + subscription.record().len() + subscription.stream().len() + subscription.group().len();
    let bytes = commit.size_bytes.saturating_sub(Commit::ENVELOPE_BYTES) + names + ENVELOPE_BYTES;
    let mut command = evalsha(&scripts.commit, arguments, bytes);
    command.arg(2 + outputs.names.len() + commit.collections.len());
    command.arg(subscription.record()).arg(subscription.stream()).arg(&outputs.names);
    for collection in &commit.collections {
        command.arg(subscription.collection(collection.kind, &collection.field));
    }

    let mut text = Vec::with_capacity(96);
    for sequence in [commit.follows, commit.leads_to] {
        text.clear();
        Head::write(token, sequence, &mut text);
        command.arg(&text);
    }
    text.clear();
    commit.position.write(&mut text);
    command.arg(&text).arg(commit.processed).arg(subscription.group());
    match commit.entries_read {
        Some(read) => command.arg(read),
        None => command.arg(""),
    };
    command.arg(2 * commit.fields.len());
    for (name, value) in &commit.fields {
        command.arg(*name).arg(value.as_slice());
    }
    if let Some(proof) = &commit.proof {
        command.arg("P").arg(proof.first.to_string()).arg(proof.last.to_string()).arg(&proof.digest);
    }
    if !commit.deleted.is_empty() {
        command.arg("D").arg(commit.deleted.len()).arg(&commit.deleted);
    }
    for (index, collection) in commit.collections.iter().enumerate() {
        collection_arguments(&mut command, 3 + outputs.names.len() + index, collection);
    }
    for operation in &commit.operations {
        match operation {
            Operation::Publish { stream, fields, check } => {
                let key = outputs.key(stream);
                if *check {
                    command.arg("C").arg(key);
                }
                command.arg("A").arg(key).arg(2 * fields.len());
                for (name, value) in fields.iter() {
                    command.arg(name).arg(value);
                }
            }
            Operation::Remove { stream, id, digest } => {
                command.arg("X").arg(outputs.key(stream)).arg(id.to_string()).arg(digest);
            }
            Operation::Trim { stream, trim } => {
                command.arg("T").arg(outputs.key(stream));
                trim_arguments(&mut command, *trim);
            }
        }
    }
    command
}

fn collection_arguments(command: &mut Cmd, key: usize, collection: &CollectionChanges) {
    let CollectionChanges { field, changes, before, after, .. } = collection;
    command.arg("M").arg(key).arg(format!("@size:{field}"));
    for entries in [before, after] {
        match entries {
            Some(entries) => command.arg(*entries),
            None => command.arg(""),
        };
    }
    command.arg(u8::from(changes.cleared)).arg(2 * changes.set.len());
    for (key, value) in &changes.set {
        command.arg(key.as_slice()).arg(value.as_slice());
    }
    command.arg(changes.removed.len());
    for key in &changes.removed {
        command.arg(key.as_slice());
    }
}

fn trim_arguments(command: &mut Cmd, trim: Trim) {
    let (by, bound) = match trim.bound {
        Bound::MaxLen(entries) => ("MAXLEN", entries.to_string()),
        Bound::MinId(id) => ("MINID", id.to_string()),
    };
    command.arg(by).arg(if trim.exact { "=" } else { "~" }).arg(bound);
}

/// The distinct output streams of a commit, by their place in KEYS.
#[derive(Default)]
struct Outputs<'a> {
    names: Vec<&'a str>,
    /// Where each of them is, if there are many.
    places: HashMap<&'a str, usize>,
}

impl<'a> Outputs<'a> {
    /// How many names are searched one by one: fewer cost less so than by their hashes.
    const FEW: usize = 8;

    fn of(operations: &'a [Operation]) -> Self {
        let mut outputs = Self::default();
        for operation in operations {
            let (Operation::Publish { stream, .. } | Operation::Trim { stream, .. } | Operation::Remove { stream, .. }) =
                operation;
            if outputs.place(stream).is_none() {
                outputs.names.push(stream);
                let unplaced = outputs.places.len()..outputs.names.len();
                if outputs.names.len() > Self::FEW {
                    outputs.places.extend(unplaced.map(|place| (outputs.names[place], place)));
                }
            }
        }
        outputs
    }

    fn place(&self, stream: &str) -> Option<usize> {
        match self.places.is_empty() {
            true => self.names.iter().position(|name| *name == stream),
            false => self.places.get(stream).copied(),
        }
    }

    /// The number of the key, counted as Lua counts, behind record and stream.
    fn key(&self, stream: &str) -> usize {
        self.place(stream).map_or(0, |place| place + 3)
    }
}

fn evalsha(script: &Script, arguments: usize, bytes: usize) -> Cmd {
    let mut command = Cmd::with_capacity(arguments + 3, bytes);
    command.arg("EVALSHA").arg(&script.sha);
    command
}
