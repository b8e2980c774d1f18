//! Where a walk is: a store, and a hand that reaches into it without the store's help.

use std::collections::{BTreeMap, HashMap};

use atomic_streams::internals::{
    CollectionKind, Entry, GroupInfo, Link, MemoryStore, RedisStore, Store, StreamInfo, Subscription, Timing,
};
use atomic_streams::{EntryId, Fields, Trim};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, Value};
use support::{Server, Snapshot};

pub const STREAM: &str = "in";
pub const OUTPUT: &str = "out";
pub const GROUP: &str = "g";

/// Streams: the input, two outputs, and the one of the dead letters.
pub const STREAMS: [&str; 4] = [STREAM, OUTPUT, "more", "dead"];

pub const COLLECTIONS: [(CollectionKind, &str); 2] = [(CollectionKind::Map, "m"), (CollectionKind::Set, "s")];

pub fn subscription() -> Subscription {
    Subscription::new(STREAM, GROUP).unwrap()
}

pub enum Place {
    Memory(MemoryStore),
    Real(Box<Real>),
}

pub struct Real {
    pub server: Server,
    pub store: RedisStore,
    connection: MultiplexedConnection,
}

/// A moment to which a server can be taken back.
#[derive(Clone)]
pub enum Mark {
    Memory { writes: usize },
    Real(Snapshot),
}

/// What a stream holds, and what is known of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamSight {
    pub entries: Vec<Entry>,
    pub info: Option<StreamInfo>,
    pub group: Option<GroupInfo>,
}

/// What a walk sees of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sight {
    pub record: Option<Record>,
    pub collections: [BTreeMap<Vec<u8>, Vec<u8>>; COLLECTIONS.len()],
    /// In the order of [`STREAMS`].
    pub streams: Vec<StreamSight>,
}

pub type Record = BTreeMap<String, Vec<u8>>;

impl Place {
    pub fn memory() -> Self {
        Self::Memory(MemoryStore::new())
    }

    pub async fn real() -> Self {
        Self::on(Server::start().await, |store| store).await
    }

    pub async fn on(server: Server, with: impl FnOnce(RedisStore) -> RedisStore) -> Self {
        let store = with(RedisStore::new(&server.client(), Timing::default()).unwrap());
        let connection = server.connection().await;
        Self::Real(Box::new(Real { server, store, connection }))
    }

    pub fn store(&self) -> &dyn Store {
        match self {
            Self::Memory(store) => store,
            Self::Real(real) => &real.store,
        }
    }

    pub async fn connect(&self) -> Box<dyn Link> {
        self.store().connect(&subscription()).await.unwrap()
    }

    /// Nothing is there. Connections stay.
    pub async fn clear(&mut self) {
        match self {
            // A new one has nothing to forget.
            Self::Memory(store) => store.flush_all(),
            Self::Real(real) => real.ask(redis::cmd("FLUSHALL")).await.unwrap(),
        }
    }

    /// Adds an entry, under an ID of the server's choice if none is given. `None`: it was refused.
    pub async fn add(&mut self, stream: &str, id: Option<EntryId>, fields: &Fields) -> Option<EntryId> {
        match (self, id) {
            (Self::Memory(store), None) => store.publish(stream, fields).ok(),
            (Self::Memory(store), Some(id)) => store.add_with_id(stream, id, fields.clone()).ok().map(|()| id),
            (Self::Real(real), id) => {
                let mut command = redis::cmd("XADD");
                command.arg(stream).arg(id.map_or("*".to_owned(), |id| id.to_string()));
                for (name, value) in fields.iter() {
                    command.arg(name).arg(value);
                }
                real.ask::<String>(&command).await.ok().map(|id| id.parse().unwrap())
            }
        }
    }

    pub async fn trim(&mut self, stream: &str, trim: Trim, words: [String; 2]) {
        match self {
            Self::Memory(store) => store.trim(stream, trim),
            Self::Real(real) => {
                // A key of another type stays.
                let _: RedisResult<u64> = real.ask(redis::cmd("XTRIM").arg(stream).arg(&words)).await;
            }
        }
    }

    pub async fn delete_entry(&mut self, stream: &str, id: EntryId) {
        match self {
            Self::Memory(store) => drop(store.delete_entry(stream, id)),
            Self::Real(real) => real.tell(redis::cmd("XDEL").arg(stream).arg(id.to_string())).await,
        }
    }

    pub async fn delete_key(&mut self, key: &str) {
        match self {
            Self::Memory(store) => drop(store.delete_key(key)),
            Self::Real(real) => real.tell(redis::cmd("DEL").arg(key)).await,
        }
    }

    pub async fn put_wrong_type(&mut self, key: &str) {
        match self {
            Self::Memory(store) => store.put_wrong_type(key),
            Self::Real(real) => real.tell(redis::cmd("SET").arg(key).arg("neither")).await,
        }
    }

    pub async fn set_recorded(&mut self, name: &str, value: &str) {
        match self {
            Self::Memory(store) => store.set_record_field(&subscription(), name, value.as_bytes()),
            Self::Real(real) => {
                real.tell(redis::cmd("HSET").arg(subscription().record()).arg(name).arg(value)).await;
            }
        }
    }

    /// A group at `cursor`, made by somebody else who has taken the first `pending` entries and keeps them.
    pub async fn add_foreign_group(&mut self, cursor: EntryId, pending: u64) {
        match self {
            Self::Memory(store) => store.set_foreign_group(STREAM, GROUP, cursor, pending),
            Self::Real(real) => {
                real.tell(redis::cmd("XGROUP").arg(&["CREATE", STREAM, GROUP, "0-0", "MKSTREAM"])).await;
                if pending > 0 {
                    let count = pending.to_string();
                    let words = ["GROUP", GROUP, "other", "COUNT", &count, "STREAMS", STREAM, ">"];
                    real.tell(redis::cmd("XREADGROUP").arg(&words)).await;
                }
                real.tell(redis::cmd("XGROUP").arg(&["SETID", STREAM, GROUP, &cursor.to_string()])).await;
            }
        }
    }

    pub async fn move_cursor(&mut self, cursor: EntryId) {
        match self {
            Self::Memory(store) => drop(store.move_cursor(STREAM, GROUP, cursor)),
            Self::Real(real) => {
                real.tell(redis::cmd("XGROUP").arg(&["SETID", STREAM, GROUP, &cursor.to_string()])).await;
            }
        }
    }

    /// Whether the server has no memory left for anything new.
    pub async fn set_full(&mut self, full: bool) {
        match self {
            Self::Memory(store) => store.set_out_of_memory(full),
            Self::Real(real) => {
                real.tell(redis::cmd("CONFIG").arg(&["SET", "maxmemory", if full { "1" } else { "0" }])).await;
            }
        }
    }

    /// The server ends without a word and starts again; all connections are gone.
    pub async fn restart(&mut self) {
        match self {
            Self::Memory(store) => store.cut_connections(),
            Self::Real(real) => {
                real.server.kill();
                real.server.restart().await;
                real.connection = real.server.connection().await;
            }
        }
    }

    /// Whether there was such a group.
    pub async fn destroy_group(&mut self, stream: &str, group: &str) -> bool {
        match self {
            Self::Memory(store) => store.destroy_group(stream, group),
            Self::Real(real) => {
                real.ask(redis::cmd("XGROUP").arg("DESTROY").arg(stream).arg(group)).await.unwrap_or(false)
            }
        }
    }

    pub async fn mark(&mut self) -> Mark {
        match self {
            Self::Memory(store) => Mark::Memory { writes: store.remembered_writes() },
            Self::Real(real) => Mark::Real(Snapshot::take(&mut real.connection).await),
        }
    }

    /// Back to a mark, with the connections kept. Marks made since are void.
    pub async fn roll_back(&mut self, mark: &Mark) {
        match (self, mark) {
            (Self::Memory(store), Mark::Memory { writes }) => {
                let newest = store.remembered_writes() - writes;
                assert_eq!(store.lose_newest_writes(newest), newest);
            }
            (Self::Real(real), Mark::Real(snapshot)) => snapshot.restore(&mut real.connection).await,
            _ => unreachable!("a mark of another place"),
        }
    }

    /// The record and a stream's entries.
    pub async fn results(&mut self, stream: &str) -> (Option<Record>, Vec<Entry>) {
        match self {
            Self::Memory(store) => (store.record(&subscription()), store.entries(stream)),
            Self::Real(real) => {
                let mut pipeline = redis::pipe();
                pipeline.cmd("HGETALL").arg(subscription().record());
                pipeline.cmd("XRANGE").arg(stream).arg("-").arg("+");
                let mut replies = real.ask_all(pipeline).await.into_iter();
                let record: Record = of(replies.next().unwrap().unwrap());
                ((!record.is_empty()).then_some(record), entries(replies.next().unwrap().unwrap()))
            }
        }
    }

    /// Everything that walks look at.
    pub async fn sight(&mut self) -> Sight {
        match self {
            Self::Memory(store) => {
                let of = |stream: &&str| StreamSight {
                    entries: store.entries(stream),
                    info: store.stream(stream),
                    group: store.group(stream, GROUP),
                };
                Sight {
                    record: store.record(&subscription()),
                    streams: STREAMS.iter().map(of).collect(),
                    collections: COLLECTIONS.map(|(kind, field)| store.hash(&subscription().collection(kind, field))),
                }
            }
            Self::Real(real) => real.sight().await,
        }
    }
}

impl Real {
    pub async fn ask<T: FromRedisValue>(&mut self, command: impl std::borrow::Borrow<Cmd>) -> RedisResult<T> {
        command.borrow().query_async(&mut self.connection).await
    }

    /// A command whose error, if there is one, means that nothing was to be done.
    async fn tell(&mut self, command: impl std::borrow::Borrow<Cmd>) {
        let _: RedisResult<Value> = self.ask(command).await;
    }

    /// One result a command.
    pub async fn ask_all(&mut self, mut pipeline: Pipeline) -> Vec<RedisResult<Value>> {
        pipeline.ignore_errors().query_async(&mut self.connection).await.unwrap()
    }

    async fn sight(&mut self) -> Sight {
        let mut pipeline = redis::pipe();
        pipeline.cmd("HGETALL").arg(subscription().record());
        for (kind, field) in COLLECTIONS {
            pipeline.cmd("HGETALL").arg(subscription().collection(kind, field));
        }
        for stream in STREAMS {
            pipeline.cmd("XRANGE").arg(stream).arg("-").arg("+");
            pipeline.cmd("XINFO").arg("STREAM").arg(stream);
            pipeline.cmd("XINFO").arg("GROUPS").arg(stream);
        }
        let mut replies = self.ask_all(pipeline).await.into_iter();
        let mut next = || replies.next().unwrap().ok();
        let record: Record = next().map(of).unwrap_or_default();
        Sight {
            record: (!record.is_empty()).then_some(record),
            collections: COLLECTIONS.map(|_| next().map(of).unwrap_or_default()),
            streams: STREAMS
                .iter()
                .map(|_| StreamSight {
                    entries: next().map(entries).unwrap_or_default(),
                    info: next().map(|value| info(&of(value))),
                    group: next().and_then(group),
                })
                .collect(),
        }
    }
}

fn of<T: FromRedisValue>(value: Value) -> T {
    redis::from_redis_value(value).unwrap()
}

fn named<T: FromRedisValue>(info: &HashMap<String, Value>, name: &str) -> T {
    of(info[name].clone())
}

fn entries(value: Value) -> Vec<Entry> {
    let entries: Vec<(String, Vec<Vec<u8>>)> = of(value);
    let entry = |(id, values): (String, Vec<Vec<u8>>)| Entry {
        id: id.parse().unwrap(),
        fields: values.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
    };
    entries.into_iter().map(entry).collect()
}

fn info(info: &HashMap<String, Value>) -> StreamInfo {
    StreamInfo {
        length: named(info, "length"),
        last_id: named::<String>(info, "last-generated-id").parse().unwrap(),
        entries_added: named(info, "entries-added"),
    }
}

fn group(groups: Value) -> Option<GroupInfo> {
    let groups: Vec<HashMap<String, Value>> = of(groups);
    let info = groups.into_iter().find(|info| named::<String>(info, "name") == GROUP)?;
    Some(GroupInfo {
        cursor: named::<String>(&info, "last-delivered-id").parse().unwrap(),
        entries_read: named(&info, "entries-read"),
        lag: named(&info, "lag"),
        pending: named(&info, "pending"),
    })
}
