//! `import-python`: going on where a consumer of the Python library has stopped.

use std::collections::BTreeSet;
use std::time::Duration;

use atomic_streams::admin::NewRecord;
use atomic_streams::redis::aio::MultiplexedConnection;
use atomic_streams::redis::cmd;
use serde::Serialize;

use crate::args::ImportArgs;
use crate::connect::Server;
use crate::exit::{Exit, Failure};
use crate::import::pickle;
use crate::import::python::{self, Kept};
use crate::view::{Cell, Look, Show, Table, time};

/// How long it is watched whether the position moves.
const WATCH: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize)]
pub struct Import {
    stream: String,
    group: String,
    consumer_id: String,
    position: String,
    fields: Vec<Field>,
    skipped: Vec<String>,
    /// The first entry of a stream of which entries behind the position may have been trimmed.
    trimmed_up_to: Option<String>,
    /// The keys that stay as they are.
    index_key: String,
    state_key: Option<String>,
    dry_run: bool,
    #[serde(skip)]
    position_ms: u64,
}

#[derive(Debug, Serialize)]
struct Field {
    field: String,
    attribute: String,
    /// As Python calls it.
    kind: String,
}

pub async fn run(server: &Server, args: &ImportArgs) -> Result<Import, Failure> {
    let (stream, group) = (&args.subscription.stream, &args.subscription.group);
    let consumer = args.consumer_id.as_ref().unwrap_or(group);
    let handler = (!args.stateless).then(|| args.state.as_ref().unwrap_or(consumer).as_str());
    let mut redis = server.connection().await?;
    let kept = python::read(&mut redis, stream, consumer, handler).await?;
    if !args.stopped {
        refuse_running(&mut redis, &kept).await?;
    }
    let (record, fields) = record_of(&kept, args)?;
    let record = record.only_while(&kept.index_key, kept.index.as_slice());
    let admin = server.admin()?;
    let admin = if args.dry_run { admin.dry_run() } else { admin };
    let created = admin.create(stream, group, &record).await?;
    Ok(Import {
        stream: stream.clone(),
        group: group.clone(),
        consumer_id: consumer.clone(),
        position: created.position.to_string(),
        fields,
        skipped: args.skip.clone(),
        trimmed_up_to: created.trimmed_up_to.map(|id| id.to_string()),
        index_key: kept.index_key,
        state_key: kept.state_key,
        dry_run: args.dry_run,
        position_ms: created.position.ms,
    })
}

/// A consumer that still runs would go on from its own position. While it waits for an entry it can be seen among the connections;
/// while it handles entries, its position moves.
async fn refuse_running(redis: &mut MultiplexedConnection, kept: &Kept) -> Result<(), Failure> {
    refuse_readers(redis).await?;
    tokio::time::sleep(WATCH).await;
    let now: Result<Option<Vec<u8>>, _> = cmd("GET").arg(&kept.index_key).query_async(redis).await;
    match now {
        Ok(now) if now.as_ref() == Some(&kept.index) => refuse_readers(redis).await,
        Ok(_) => Err(in_use("its position has moved")),
        Err(error) => Err(Failure::new(Exit::Failed, format!("`{}` cannot be read: {error}", kept.index_key))),
    }
}

async fn refuse_readers(redis: &mut MultiplexedConnection) -> Result<(), Failure> {
    match python::running(redis).await?.as_deref() {
        None | Some([]) => Ok(()),
        Some(readers) => Err(in_use(&format!("a client at {} reads streams as it does", readers.join(", ")))),
    }
}

fn in_use(why: &str) -> Failure {
    let words = format!(
        "the Python consumer seems to be running: {why}. Stop it first, or say --stopped if this is another program"
    );
    Failure::new(Exit::InUse, words)
}

/// The record, and what its fields were.
fn record_of(kept: &Kept, args: &ImportArgs) -> Result<(NewRecord, Vec<Field>), Failure> {
    let names: Vec<&str> = kept.attributes.iter().map(|(name, _)| name.as_str()).collect();
    for (option, name) in
        args.rename.iter().map(|(old, _)| ("rename", old)).chain(args.skip.iter().map(|name| ("skip", name)))
    {
        if !names.contains(&name.as_str()) {
            return Err(Failure::usage(format!(
                "--{option} {name}: the handler's attributes are {}",
                names.join(", ")
            )));
        }
    }
    let mut record = NewRecord::at(kept.position).version(args.schema_version);
    let (mut fields, mut taken) = (Vec::new(), BTreeSet::new());
    for (attribute, bytes) in &kept.attributes {
        if args.skip.contains(attribute) {
            continue;
        }
        let renamed = args.rename.iter().rev().find(|(old, _)| old == attribute);
        let field = renamed.map_or(attribute, |(_, new)| new);
        if !taken.insert(field.clone()) {
            return Err(Failure::usage(format!(
                "two attributes would become the field `{field}`: --rename one of them otherwise"
            )));
        }
        let refused = |why: String| {
            Failure::new(
                Exit::Failed,
                format!(
                    "attribute `{attribute}` cannot be taken over: {why}. None, bool, int, float, str, bytes, list, tuple, dict and \
                     set can: convert it in Python first, or leave it out with --skip {attribute}"
                ),
            )
        };
        let tree = pickle::read(bytes).map_err(|why| refused(why.to_string()))?;
        record = record.field(field, &tree.value()).map_err(|why| refused(why.to_string()))?;
        fields.push(Field { field: field.clone(), attribute: attribute.clone(), kind: tree.value().kind() });
    }
    Ok((record, fields))
}

impl Show for Import {
    fn text(&self, look: &Look) -> String {
        let Self { stream, group, consumer_id, position, .. } = self;
        let goes = if self.dry_run { "would go" } else { "goes" };
        let mut text = format!(
            "{stream} {group} {goes} on behind {position} ({}), where the Python consumer `{consumer_id}` stopped\n",
            time::age(self.position_ms, look.now_ms)
        );
        if !self.fields.is_empty() {
            let mut table = Table::new(&["FIELD", "ATTRIBUTE", "IN PYTHON"]);
            for Field { field, attribute, kind } in &self.fields {
                table.row([Cell::plain(field), Cell::plain(attribute), Cell::plain(kind)]);
            }
            text.push_str(&table.text(look));
        }
        if !self.skipped.is_empty() {
            text.push_str(&format!("left out: {}\n", self.skipped.join(", ")));
        }
        if let Some(first) = &self.trimmed_up_to {
            text.push_str(&format!(
                "the stream begins with {first}: entries behind the position may have been trimmed\n"
            ));
        }
        let state = self.state_key.as_ref().map_or_else(String::new, |key| format!(" and {key}"));
        text.push_str(&format!(
            "what Python has kept stays at {}{state}; do not start that consumer again\n",
            self.index_key
        ));
        text
    }
}
