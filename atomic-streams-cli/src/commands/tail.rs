//! `tail`: the entries of a stream, as they are and as they come.

use atomic_streams::admin::Admin;
use atomic_streams::{Entry, EntryId, ErrorKind};
use serde::Serialize;

use crate::args::{Place, TailArgs};
use crate::connect::Server;
use crate::exit::{Exit, Failure};
use crate::view::bytes::{self, Members};
use crate::view::{Raw, Screen, time};

/// The newest entries that are shown where nothing else is asked for.
const NEWEST: u64 = 10;

/// The newest entries that can be asked for: they are read at once.
const MAX_NEWEST: u64 = 10_000;

/// Entries that are shown at once.
const PAGE: usize = 1_000;

#[derive(Debug, Serialize)]
struct Line {
    id: String,
    time: String,
    fields: Members,
}

pub async fn run(server: &Server, args: &TailArgs, screen: &Screen) -> Result<Raw, Failure> {
    let showing = show(server, args, screen);
    tokio::select! {
        // Ctrl-C is how it ends.
        _ = tokio::signal::ctrl_c(), if args.follow => Ok(Raw::default()),
        shown = showing => shown.map(|()| Raw::default()),
    }
}

async fn show(server: &Server, args: &TailArgs, screen: &Screen) -> Result<(), Failure> {
    let admin = server.admin()?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let after = match args.from {
        Some(Place::Start) => EntryId::MIN,
        Some(Place::After(id)) => id,
        Some(Place::End) => end(&admin, args).await?,
        None => {
            left = u64::MAX;
            let newest = newest(&admin, args).await?;
            screen.write(&lines(&newest, screen)?)?;
            let last = newest.last().map(|entry| entry.id);
            if !args.follow {
                if last.is_none() {
                    end(&admin, args).await?;
                }
                return Ok(());
            }
            match last {
                Some(last) => last,
                None => end(&admin, args).await?,
            }
        }
    };
    let mut tail = admin.tail(&args.stream, after)?;
    while left > 0 {
        let most = PAGE.min(usize::try_from(left).unwrap_or(PAGE));
        let mut entries = tail.read(most).await?;
        if entries.is_empty() {
            if !args.follow {
                // Nothing to show is no news, unless it is the wrong name.
                end(&admin, args).await?;
                return Ok(());
            }
            entries = tail.next(most).await?;
        }
        screen.write(&lines(&entries, screen)?)?;
        left -= entries.len() as u64;
    }
    Ok(())
}

async fn newest(admin: &Admin, args: &TailArgs) -> Result<Vec<Entry>, Failure> {
    let count = args.count.unwrap_or(NEWEST);
    if count == 0 {
        return Ok(Vec::new());
    }
    match usize::try_from(count).ok().filter(|_| count <= MAX_NEWEST) {
        Some(count) => Ok(admin.newest(&args.stream, count).await?),
        None => Err(Failure::usage(format!(
            "--count {count}: at most the newest {MAX_NEWEST} are shown; say with --from where to begin"
        ))),
    }
}

/// The last ID of the stream. Where there is none yet, whoever follows waits for it.
async fn end(admin: &Admin, args: &TailArgs) -> Result<EntryId, Failure> {
    match admin.stream(&args.stream).await {
        Ok(found) => Ok(found.last_id),
        Err(error) if args.follow && error.kind() == ErrorKind::NoStream => Ok(EntryId::MIN),
        Err(error) => Err(error.into()),
    }
}

fn lines(entries: &[Entry], screen: &Screen) -> Result<String, Failure> {
    let mut text = String::new();
    for entry in entries {
        if screen.is_json() {
            let line = Line {
                id: entry.id.to_string(),
                time: time::rfc3339(entry.id.ms),
                fields: Members(entry.fields.clone()),
            };
            let json = serde_json::to_string(&line);
            text += &json.map_err(|error| Failure::new(Exit::Failed, format!("entry {}: {error}", entry.id)))?;
        } else {
            text += &format!("{}  {}  {}", entry.id, time::rfc3339(entry.id.ms), bytes::line(&entry.fields));
        }
        text.push('\n');
    }
    Ok(text)
}
