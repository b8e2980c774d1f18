//! A store and a hand that reaches into it without the store's help.

use std::collections::{BTreeMap, HashMap};

use atomic_streams::internals::{Entry, GroupInfo, Link, MemoryStore, RedisStore, Store, StreamInfo, Timing};
use atomic_streams::{EntryId, Fields, Trim};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Value};
use support::{Server, eventually};

use crate::kit::subscription;

pub enum Bench {
    Memory(MemoryStore),
    Redis(Box<Real>),
}

pub struct Real {
    pub server: Server,
    pub store: RedisStore,
    connection: MultiplexedConnection,
}

/// Everything that a commit may change, to be compared before and after.
#[derive(Debug, PartialEq)]
pub struct Picture {
    record: Option<BTreeMap<String, Vec<u8>>>,
    streams: Vec<(Vec<Entry>, Option<StreamInfo>, Option<GroupInfo>)>,
}

impl Picture {
    /// Without counters of streams that are not ours: what undone publishes leave in them shows in nothing else.
    pub fn without_counters(mut self) -> Self {
        for (_, info, _) in self.streams.iter_mut().skip(1) {
            *info = None;
        }
        self
    }
}

impl Bench {
    pub fn memory() -> Self {
        Self::Memory(MemoryStore::new())
    }

    pub async fn redis() -> Self {
        Self::on(Server::start().await).await
    }

    pub async fn on(server: Server) -> Self {
        let store = RedisStore::new(&server.client(), Timing::default()).unwrap();
        let connection = server.connection().await;
        Self::Redis(Box::new(Real { server, store, connection }))
    }

    /// The real server; only for tests that run on none else.
    pub fn real(&self) -> &Real {
        match self {
            Self::Memory(_) => panic!("this is no real server"),
            Self::Redis(real) => real,
        }
    }

    pub fn store(&self) -> &dyn Store {
        match self {
            Self::Memory(store) => store,
            Self::Redis(real) => &real.store,
        }
    }

    /// A store of its own for a task.
    pub fn another_store(&self) -> Box<dyn Store> {
        match self {
            Self::Memory(store) => Box::new(store.clone()),
            Self::Redis(real) => Box::new(RedisStore::new(&real.server.client(), Timing::default()).unwrap()),
        }
    }

    pub async fn add(&self, stream: &str, fields: Fields) -> EntryId {
        match self {
            Self::Memory(store) => store.add(stream, fields),
            Self::Redis(real) => real.add(stream, "*", &fields).await,
        }
    }

    pub async fn add_with_id(&self, stream: &str, id: EntryId, fields: Fields) {
        match self {
            Self::Memory(store) => store.add_with_id(stream, id, fields).unwrap(),
            Self::Redis(real) => assert_eq!(real.add(stream, &id.to_string(), &fields).await, id),
        }
    }

    pub async fn delete_entry(&self, stream: &str, id: EntryId) {
        match self {
            Self::Memory(store) => assert!(store.delete_entry(stream, id)),
            Self::Redis(real) => assert_eq!(real.ask::<u64>(&["XDEL", stream, &id.to_string()]).await, 1),
        }
    }

    /// Keeps the newest `entries`.
    pub async fn trim(&self, stream: &str, entries: u64) {
        match self {
            Self::Memory(store) => store.trim(stream, Trim::max_len(entries).exact()),
            Self::Redis(real) => drop(real.ask::<u64>(&["XTRIM", stream, "MAXLEN", &entries.to_string()]).await),
        }
    }

    pub async fn delete_key(&self, key: &str) {
        match self {
            Self::Memory(store) => assert!(store.delete_key(key)),
            Self::Redis(real) => assert_eq!(real.ask::<u64>(&["DEL", key]).await, 1),
        }
    }

    pub async fn delete_record(&self) {
        self.delete_key(subscription().record()).await;
    }

    pub async fn put_wrong_type(&self, key: &str) {
        match self {
            Self::Memory(store) => store.put_wrong_type(key),
            Self::Redis(real) => real.ask(&["SET", key, "neither"]).await,
        }
    }

    pub async fn flush_all(&self) {
        match self {
            Self::Memory(store) => store.flush_all(),
            Self::Redis(real) => real.ask(&["FLUSHALL"]).await,
        }
    }

    /// A group at `cursor`, made by somebody else who has taken the first `pending` entries and keeps them.
    pub async fn foreign_group(&self, stream: &str, group: &str, cursor: EntryId, pending: u64) {
        match self {
            Self::Memory(store) => store.set_foreign_group(stream, group, cursor, pending),
            Self::Redis(real) => {
                let () = real.ask(&["XGROUP", "CREATE", stream, group, "0-0", "MKSTREAM"]).await;
                if pending > 0 {
                    let count = pending.to_string();
                    let command = ["XREADGROUP", "GROUP", group, "other", "COUNT", &count, "STREAMS", stream, ">"];
                    let _: Value = real.ask(&command).await;
                }
                let () = real.ask(&["XGROUP", "SETID", stream, group, &cursor.to_string()]).await;
            }
        }
    }

    pub async fn move_cursor(&self, stream: &str, group: &str, cursor: EntryId) {
        match self {
            Self::Memory(store) => assert!(store.move_cursor(stream, group, cursor)),
            Self::Redis(real) => real.ask(&["XGROUP", "SETID", stream, group, &cursor.to_string()]).await,
        }
    }

    pub async fn destroy_group(&self, stream: &str, group: &str) {
        match self {
            Self::Memory(store) => assert!(store.destroy_group(stream, group)),
            Self::Redis(real) => assert_eq!(real.ask::<u64>(&["XGROUP", "DESTROY", stream, group]).await, 1),
        }
    }

    pub async fn record(&self) -> Option<BTreeMap<String, Vec<u8>>> {
        match self {
            Self::Memory(store) => store.record(&subscription()),
            Self::Redis(real) => {
                let fields: BTreeMap<String, Vec<u8>> = real.ask(&["HGETALL", subscription().record()]).await;
                (!fields.is_empty()).then_some(fields)
            }
        }
    }

    /// One field of the record, as text.
    pub async fn recorded(&self, name: &str) -> Option<String> {
        self.record().await?.remove(name).map(|value| String::from_utf8(value).unwrap())
    }

    pub async fn set_recorded(&self, name: &str, value: &str) {
        match self {
            Self::Memory(store) => store.set_record_field(&subscription(), name, value.as_bytes()),
            Self::Redis(real) => drop(real.ask::<u64>(&["HSET", subscription().record(), name, value]).await),
        }
    }

    /// What the hash at `key` holds.
    pub async fn hash(&self, key: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
        match self {
            Self::Memory(store) => store.hash(key),
            Self::Redis(real) => real.ask(&["HGETALL", key]).await,
        }
    }

    /// Whether the server has no memory left for anything new.
    pub async fn set_full(&self, full: bool) {
        match self {
            Self::Memory(store) => store.set_out_of_memory(full),
            Self::Redis(real) => real.ask(&["CONFIG", "SET", "maxmemory", if full { "1" } else { "0" }]).await,
        }
    }

    /// A connection to the real server as one of its users.
    pub async fn link_as(&self, user: &str, password: &str) -> Box<dyn Link> {
        let url = format!("redis://{user}:{password}@{}/", self.real().server.addr());
        let store = RedisStore::new(&redis::Client::open(url).unwrap(), Timing::default()).unwrap();
        store.connect(&subscription()).await.unwrap()
    }

    pub async fn entries(&self, stream: &str) -> Vec<Entry> {
        match self {
            Self::Memory(store) => store.entries(stream),
            Self::Redis(real) => real.entries(stream).await,
        }
    }

    pub async fn stream(&self, stream: &str) -> Option<StreamInfo> {
        match self {
            Self::Memory(store) => store.stream(stream),
            Self::Redis(real) => real.stream(stream).await,
        }
    }

    pub async fn group(&self, stream: &str, group: &str) -> Option<GroupInfo> {
        match self {
            Self::Memory(store) => store.group(stream, group),
            Self::Redis(real) => real.group(stream, group).await,
        }
    }

    /// The record and these streams, each with the group that all tests use.
    pub async fn picture(&self, streams: &[&str]) -> Picture {
        let mut pictures = Vec::new();
        for stream in streams {
            let group = self.group(stream, crate::kit::GROUP).await;
            pictures.push((self.entries(stream).await, self.stream(stream).await, group));
        }
        Picture { record: self.record().await, streams: pictures }
    }

    /// Waits until a read waits for entries.
    pub async fn a_read_waits(&self) {
        match self {
            // The test's tasks share one thread: a task that was given it has gone as far as it can.
            Self::Memory(_) => tokio::task::yield_now().await,
            Self::Redis(real) => {
                eventually("a client is blocked", async || {
                    real.ask::<String>(&["INFO", "clients"]).await.contains("blocked_clients:1")
                })
                .await;
            }
        }
    }
}

impl Real {
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let reply = redis::cmd(words[0]).arg(&words[1..]).query_async(&mut self.connection.clone()).await;
        reply.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Every key as bytes.
    pub async fn dumps(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let names: Vec<Vec<u8>> = self.ask(&["KEYS", "*"]).await;
        let mut dumps = BTreeMap::new();
        for name in names {
            let dump = support::contents(&mut self.connection.clone(), &name).await;
            dumps.insert(name, dump);
        }
        dumps
    }

    async fn add(&self, stream: &str, id: &str, fields: &Fields) -> EntryId {
        let mut command = redis::cmd("XADD");
        command.arg(stream).arg(id);
        for (name, value) in fields.iter() {
            command.arg(name).arg(value);
        }
        let id: String = command.query_async(&mut self.connection.clone()).await.unwrap();
        id.parse().unwrap()
    }

    async fn entries(&self, stream: &str) -> Vec<Entry> {
        if self.ask::<String>(&["TYPE", stream]).await != "stream" {
            return Vec::new();
        }
        let entries: Vec<(String, Vec<Vec<u8>>)> = self.ask(&["XRANGE", stream, "-", "+"]).await;
        let entry = |(id, values): (String, Vec<Vec<u8>>)| Entry {
            id: id.parse().unwrap(),
            fields: values.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
        };
        entries.into_iter().map(entry).collect()
    }

    async fn stream(&self, stream: &str) -> Option<StreamInfo> {
        if self.ask::<String>(&["TYPE", stream]).await != "stream" {
            return None;
        }
        let info: HashMap<String, Value> = self.ask(&["XINFO", "STREAM", stream]).await;
        Some(StreamInfo {
            length: of(&info, "length"),
            last_id: of::<String>(&info, "last-generated-id").parse().unwrap(),
            entries_added: of(&info, "entries-added"),
        })
    }

    async fn group(&self, stream: &str, group: &str) -> Option<GroupInfo> {
        if self.ask::<String>(&["TYPE", stream]).await != "stream" {
            return None;
        }
        let groups: Vec<HashMap<String, Value>> = self.ask(&["XINFO", "GROUPS", stream]).await;
        let info = groups.into_iter().find(|info| of::<String>(info, "name") == group)?;
        Some(GroupInfo {
            cursor: of::<String>(&info, "last-delivered-id").parse().unwrap(),
            entries_read: of(&info, "entries-read"),
            lag: of(&info, "lag"),
            pending: of(&info, "pending"),
        })
    }
}

fn of<T: FromRedisValue>(info: &HashMap<String, Value>, name: &str) -> T {
    redis::from_redis_value(info[name].clone()).unwrap()
}
