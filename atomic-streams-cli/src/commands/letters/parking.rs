//! `dead-letters parked` and `unpark`.

use serde::Serialize;

use crate::args::Subscription;
use crate::connect::Server;
use crate::exit::Failure;
use crate::view::bytes::{self, Bytes};
use crate::view::{Cell, Look, Show, Table};

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct ParkedKeys(Vec<ParkedKey>);

#[derive(Debug, Serialize)]
struct ParkedKey {
    key: Bytes,
    /// The entry that failed, which the others wait behind.
    entry: String,
}

pub async fn parked(server: &Server, of: Subscription) -> Result<ParkedKeys, Failure> {
    server.admin()?.inspect(&of.stream, &of.group).await?;
    let keys = server.dead_letters(&of.stream)?.parked(&of.stream, &of.group).await?;
    let parked = keys.into_iter().map(|each| ParkedKey { key: Bytes(each.key), entry: each.entry.to_string() });
    Ok(ParkedKeys(parked.collect()))
}

impl Show for ParkedKeys {
    fn text(&self, look: &Look) -> String {
        if self.0.is_empty() {
            return "no key is parked\n".to_owned();
        }
        let mut table = Table::new(&["KEY", "BEHIND ENTRY"]);
        for each in &self.0 {
            table.row([Cell::plain(bytes::text(&each.key.0)), Cell::whole(&each.entry)]);
        }
        table.text(look)
    }
}

#[derive(Debug, Serialize)]
pub struct Unparking {
    stream: String,
    group: String,
    key: Bytes,
    dry_run: bool,
}

pub async fn unpark(
    server: &Server,
    of: Subscription,
    key: &str,
    hex: bool,
    dry_run: bool,
) -> Result<Unparking, Failure> {
    let Subscription { stream, group } = of;
    let key = match hex {
        false => key.as_bytes().to_vec(),
        true => bytes::of_hex(key).ok_or_else(|| {
            Failure::usage(format!("`{key}` is not hexadecimal: write two digits for each byte, such as ff00"))
        })?,
    };
    let letters = server.dead_letters(&stream)?;
    let is_parked = if dry_run {
        letters.parked(&stream, &group).await?.iter().any(|parked| parked.key == key)
    } else {
        letters.unpark(&stream, &group, &key).await?
    };
    if !is_parked {
        return Err(Failure::not_found(format!(
            "{stream} {group} has no parked key `{}`: `atomic-streams dead-letters parked {stream} {group}` shows those there are",
            bytes::text(&key)
        )));
    }
    Ok(Unparking { stream, group, key: Bytes(key), dry_run })
}

impl Show for Unparking {
    fn text(&self, _look: &Look) -> String {
        let Self { stream, group, key, dry_run } = self;
        let key = bytes::text(&key.0);
        if *dry_run {
            return format!("{stream} {group} would be asked to handle the letters of key `{key}`\n");
        }
        format!(
            "{stream} {group} is asked to handle the letters of key `{key}`, in order; its owner begins within a third of its lease\n"
        )
    }
}
