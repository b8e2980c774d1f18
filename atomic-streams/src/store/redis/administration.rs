//! The scripts of administration: each does one thing wholly, or says why not.

mod creating;
mod streams;

use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use super::inspection::inspection;
use super::parts::Parts;
use super::{Connector, reply};
use crate::id::EntryId;
use crate::persist::CollectionKind;
use crate::protocol::{Failure, Parking, Subscription, Transient};
use crate::script::{self, Script};
use crate::store::StoreError;
use crate::store::administration::{Declined, Deleted, Inspection, Kept, Moved, PutBack, State, Target};

/// Keys that one SCAN looks at.
const SCAN_COUNT: usize = 1_000;

/// Field names that one reply carries at most.
const MAX_NAMES: usize = 10_000;

const KINDS: [CollectionKind; 3] = [CollectionKind::Map, CollectionKind::Set, CollectionKind::Deque];

/// What was done, or why nothing was.
pub(crate) type Answer<T> = Result<Result<T, Declined>, StoreError>;

/// A connection for administration.
pub(crate) struct Administration {
    connection: MultiplexedConnection,
    limit: Duration,
}

/// Who asks, as the record will say.
pub(crate) struct Asker<'a> {
    pub instance: &'a str,
    pub name: &'a str,
    pub dry_run: bool,
}

impl Administration {
    pub async fn connect(connector: &Connector) -> Result<Self, StoreError> {
        Ok(Self { connection: connector.connect().await?, limit: connector.reply_timeout() })
    }

    async fn query(&mut self, command: &Cmd) -> Result<Value, StoreError> {
        self.query_within(command, self.limit).await
    }

    async fn query_within(&mut self, command: &Cmd, limit: Duration) -> Result<Value, StoreError> {
        let value = tokio::time::timeout(limit, self.connection.send_packed_command(command)).await;
        reply::checked(value.map_err(|_| reply::no_answer(limit))?.map_err(reply::error)?)
    }

    /// Runs a script; one that the server does not know has done nothing, and is sent whole.
    async fn run(&mut self, script: &Script, keys: &[String], arguments: &[&str]) -> Result<Parts, StoreError> {
        self.run_command(script, |by, what| {
            let mut command = redis::cmd(by);
            command.arg(what).arg(keys.len()).arg(keys).arg(arguments);
            command
        })
        .await
    }

    /// The same for a command that `call` makes of how to call the script, and of its name or text.
    async fn run_command(&mut self, script: &Script, call: impl Fn(&str, &str) -> Cmd) -> Result<Parts, StoreError> {
        match self.query(&call("EVALSHA", &script.sha)).await {
            Err(StoreError { failure: Failure::Transient(Transient::ScriptsFlushed), .. }) => {
                Parts::of(self.query(&call("EVAL", &script.text)).await?)
            }
            value => Parts::of(value?),
        }
    }

    /// Streams and groups whose records are on this server, in the order of their names.
    pub async fn subscriptions(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        let mut found = Vec::new();
        for key in self.keys("atomic-streams:*").await? {
            let names = self.query(redis::cmd("HMGET").arg(&key).arg("@stream").arg("@group")).await?;
            let mut names = Parts::of(names)?;
            // What is beside a record, or a copy of one, has another key than the names in it say.
            if let (Ok(stream), Ok(group)) = (names.text(), names.text())
                && Subscription::new(&stream, &group).is_ok_and(|named| named.record() == key)
            {
                found.push((stream, group));
            }
        }
        found.sort();
        Ok(found)
    }

    async fn keys(&mut self, pattern: &str) -> Result<Vec<String>, StoreError> {
        let (mut keys, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(&cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SCAN_COUNT).arg("TYPE").arg("hash");
            let mut parts = Parts::of(self.query(&command).await?)?;
            cursor = parts.text()?;
            let mut page = parts.parts()?;
            while !page.is_empty() {
                keys.push(page.text()?);
            }
            if cursor == "0" {
                // A key may come more than once.
                keys.sort();
                keys.dedup();
                return Ok(keys);
            }
        }
    }

    pub async fn inspect(&mut self, subscription: &Subscription) -> Answer<Inspection> {
        let keys = [subscription.record().to_owned(), subscription.stream().to_owned()];
        let most = MAX_NAMES.to_string();
        let mut parts = self.run(&script::INSPECT, &keys, &[subscription.group(), &most]).await?;
        Ok(match parts.text()?.as_str() {
            "RECORD" => inspection(subscription, parts)?,
            "NONE" => Err(Declined::None),
            other => Err(declined(other, &mut parts)?),
        })
    }

    /// The state of the record, or of its copy of that name; `collections` are kinds and fields.
    pub async fn state(
        &mut self,
        subscription: &Subscription,
        copy: Option<&str>,
        collections: &[(CollectionKind, String)],
        most_entries: usize,
    ) -> Answer<State> {
        let base = copy.map_or_else(|| subscription.record().to_owned(), |name| copy_key(subscription, name));
        let mut keys = vec![base.clone()];
        keys.extend(collections.iter().map(|(kind, field)| format!("{base}@{kind}:{field}")));
        let mut parts = self.run(&script::READ, &keys, &[&most_entries.to_string()]).await?;
        Ok(match parts.text()?.as_str() {
            "STATE" => {
                let (head, position, processed, schema) = (parts.head()?, parts.id()?, parts.number()?, parts.text()?);
                let mut fields = BTreeMap::new();
                for (name, value) in parts.parts()?.pairs()? {
                    let name = String::from_utf8(name).map_err(|_| StoreError::unexpected("a field name"))?;
                    fields.insert(name, value);
                }
                let (mut sizes, mut named) = (BTreeMap::new(), parts.parts()?);
                while !named.is_empty() {
                    sizes.insert(named.text()?, named.number()?);
                }
                let entries = collections.iter().map(|_| parts.parts()?.pairs()).collect::<Result<_, _>>()?;
                Ok(State { head, position, processed, schema, fields, sizes, collections: entries })
            }
            other => Err(declined(other, &mut parts)?),
        })
    }

    /// The schema of the record, or of its copy of that name.
    pub async fn schema(&mut self, subscription: &Subscription, copy: Option<&str>) -> Answer<String> {
        let key = copy.map_or_else(|| subscription.record().to_owned(), |name| copy_key(subscription, name));
        let mut parts = Parts::of(self.query(redis::cmd("HMGET").arg(key).arg("@schema")).await?)?;
        Ok(parts.text().map_err(|_| Declined::None))
    }

    /// The position alone.
    pub async fn position(&mut self, subscription: &Subscription) -> Answer<EntryId> {
        let mut parts = Parts::of(self.query(redis::cmd("HMGET").arg(subscription.record()).arg("@position")).await?)?;
        Ok(parts.id().map_err(|_| Declined::None))
    }

    pub async fn seek(
        &mut self,
        subscription: &Subscription,
        target: Target,
        drop_state: Option<&[String]>,
        asker: &Asker<'_>,
    ) -> Answer<Moved> {
        let mut keys = vec![subscription.record().to_owned(), subscription.stream().to_owned()];
        if let Some(collections) = drop_state {
            keys.extend(all_beside(subscription, collections));
        }
        let position = match target {
            Target::Here => String::new(),
            Target::End => "$".to_owned(),
            Target::After(id) => id.to_string(),
        };
        let arguments = [
            asker.instance,
            asker.name,
            subscription.stream(),
            subscription.group(),
            &position,
            flag(drop_state.is_some()),
            flag(asker.dry_run),
        ];
        let mut parts = self.run(&script::SEEK, &keys, &arguments).await?;
        Ok(match parts.text()?.as_str() {
            "MOVED" => Ok(Moved {
                from: parts.id()?,
                to: parts.id()?,
                dropped_fields: parts.number()?,
                dropped_collections: parts.number()?,
            }),
            other => Err(declined(other, &mut parts)?),
        })
    }

    pub async fn delete(
        &mut self,
        subscription: &Subscription,
        collections: &[String],
        dry_run: bool,
    ) -> Answer<Deleted> {
        let mut keys = vec![subscription.record().to_owned(), subscription.stream().to_owned()];
        keys.extend(all_beside(subscription, collections));
        let arguments = [subscription.stream(), subscription.group(), flag(dry_run)];
        let mut parts = self.run(&script::DELETE, &keys, &arguments).await?;
        Ok(match parts.text()?.as_str() {
            "DELETED" => Ok(Deleted {
                position: parts.optional_text()?.and_then(|id| id.parse().ok()),
                processed: parts.number()?,
                collections: parts.number()?,
            }),
            other => Err(declined(other, &mut parts)?),
        })
    }

    pub async fn keep(&mut self, subscription: &Subscription, name: &str, collections: &[String]) -> Answer<()> {
        let copy = copy_key(subscription, name);
        let mut keys = vec![subscription.record().to_owned(), copy.clone()];
        for field in collections {
            keys.extend(beside(subscription.record(), field).zip(beside(&copy, field)).flat_map(<[_; 2]>::from));
        }
        let mut parts = self.run(&script::KEEP, &keys, &[subscription.stream(), subscription.group()]).await?;
        Ok(match parts.text()?.as_str() {
            "KEPT" => Ok(()),
            other => Err(declined(other, &mut parts)?),
        })
    }

    pub async fn copies(&mut self, subscription: &Subscription) -> Result<Vec<Kept>, StoreError> {
        let prefix = copy_key(subscription, "");
        let mut copies = Vec::new();
        for key in self.keys(&format!("{}*", escaped(&prefix))).await? {
            let Some(name) = key.strip_prefix(&prefix).filter(|name| !name.contains('@')) else { continue };
            let mut command = redis::cmd("HMGET");
            command.arg(&key).arg("@kept").arg("@position").arg("@processed");
            let mut parts = Parts::of(self.query(&command).await?)?;
            let (Ok(kept_ms), Ok(position), Ok(processed)) = (parts.number(), parts.id(), parts.number()) else {
                continue;
            };
            copies.push(Kept { name: name.to_owned(), kept_ms, position, processed });
        }
        Ok(copies)
    }

    /// Names of the collections that a copy has.
    pub async fn copied_collections(
        &mut self,
        subscription: &Subscription,
        name: &str,
    ) -> Result<Vec<String>, StoreError> {
        let names = self.query(redis::cmd("HKEYS").arg(copy_key(subscription, name))).await?;
        let (mut names, mut found) = (Parts::of(names)?, Vec::new());
        while !names.is_empty() {
            found.extend(names.text()?.strip_prefix("@size:").map(str::to_owned));
        }
        Ok(found)
    }

    pub async fn put_back(
        &mut self,
        subscription: &Subscription,
        name: &str,
        present: &[String],
        copied: &[String],
        asker: &Asker<'_>,
    ) -> Answer<PutBack> {
        let copy = copy_key(subscription, name);
        let mut keys = vec![subscription.record().to_owned(), copy.clone(), subscription.stream().to_owned()];
        keys.extend(present.iter().flat_map(|field| beside(subscription.record(), field)));
        let there = (keys.len() - 3).to_string();
        for field in copied {
            keys.extend(beside(subscription.record(), field).zip(beside(&copy, field)).flat_map(<[_; 2]>::from));
        }
        let arguments =
            [asker.instance, asker.name, subscription.stream(), subscription.group(), &there, flag(asker.dry_run)];
        let mut parts = self.run(&script::PUT_BACK, &keys, &arguments).await?;
        Ok(match parts.text()?.as_str() {
            "BACK" => {
                let from = parts.optional_text()?.and_then(|id| id.parse().ok());
                let (to, processed): (EntryId, u64) = (parts.id()?, parts.number()?);
                let first: Option<EntryId> = parts.optional_text()?.and_then(|id| id.parse().ok());
                Ok(PutBack { from, to, processed, trimmed_up_to: first.filter(|first| *first > to) })
            }
            other => Err(declined(other, &mut parts)?),
        })
    }

    /// Removes a copy. Whether it was there.
    pub async fn drop_copy(
        &mut self,
        subscription: &Subscription,
        name: &str,
        collections: &[String],
    ) -> Result<bool, StoreError> {
        let copy = copy_key(subscription, name);
        let mut command = redis::cmd("UNLINK");
        for field in collections {
            beside(&copy, field).for_each(|key| {
                command.arg(key);
            });
        }
        if !collections.is_empty() {
            self.query(&command).await?;
        }
        // The copy itself last: without it, nobody would find what is beside it.
        Ok(self.query(redis::cmd("UNLINK").arg(copy)).await? == Value::Int(1))
    }
}

/// The keys of everything beside a record.
fn all_beside(subscription: &Subscription, collections: &[String]) -> impl Iterator<Item = String> {
    // What was asked for and is not done has no size of its own.
    let asked = subscription.collection(Parking::KIND, Parking::ASKED);
    collections.iter().flat_map(|field| beside(subscription.record(), field)).chain([asked])
}

/// The keys that a collection may have beside `record`: its kind is not asked for.
fn beside(record: &str, field: &str) -> impl Iterator<Item = String> {
    KINDS.into_iter().map(move |kind| format!("{record}@{kind}:{field}"))
}

fn copy_key(subscription: &Subscription, name: &str) -> String {
    format!("{}@copy:{name}", subscription.record())
}

/// A name as a pattern that only it matches.
fn escaped(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len() + 8);
    for character in name.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

fn flag(is_set: bool) -> &'static str {
    if is_set { "1" } else { "0" }
}

fn declined(what: &str, parts: &mut Parts) -> Result<Declined, StoreError> {
    Ok(match what {
        "NONE" => Declined::None,
        "FOREIGN" => Declined::Foreign { stream: parts.text()?, group: parts.text()? },
        "WRONGTYPE" => Declined::WrongType { key: parts.text()?, holds: parts.text()? },
        "BEYOND" => Declined::Beyond { last_id: parts.id()? },
        "RUNNING" => Declined::Running { owner: parts.text()?, left_ms: parts.number()? },
        "EXISTS" => Declined::Exists,
        "THERE" => Declined::There,
        "LOST" => Declined::Lost { cursor: parts.id()? },
        "ADOPT" => Declined::Adopt { cursor: parts.id()?, pending: parts.number()? },
        "MOVED" => Declined::Moved { holds: parts.text()? },
        "LARGE" => Declined::Large { entries: parts.number()? },
        "CHANGED" => Declined::Changed,
        other => return Err(StoreError::unexpected(other)),
    })
}
