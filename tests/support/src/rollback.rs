//! A server that loses its newest writes.

use redis::aio::ConnectionLike;

/// All keys of a server's current database at one moment.
///
/// Taking and restoring one imitates a server that came back, or a replica that took over, without its newest
/// writes, while its clients keep their connections. A stream keeps its groups, its last id and its count of
/// entries added.
#[derive(Debug, Clone)]
pub struct Snapshot {
    keys: Vec<Key>,
}

#[derive(Debug, Clone)]
struct Key {
    name: Vec<u8>,
    /// In milliseconds; 0 for a key that does not expire.
    expires_in: i64,
    dump: Vec<u8>,
}

impl Snapshot {
    /// Copies every key. The keys must not change meanwhile.
    pub async fn take(connection: &mut impl ConnectionLike) -> Self {
        let names: Vec<Vec<u8>> =
            redis::cmd("KEYS").arg("*").query_async(connection).await.expect("the names of all keys");
        let mut keys = Vec::with_capacity(names.len());
        for name in names {
            let mut pipe = redis::pipe();
            pipe.atomic().cmd("DUMP").arg(&name).cmd("PTTL").arg(&name);
            let (dump, ttl): (Option<Vec<u8>>, i64) = pipe.query_async(connection).await.expect("a dump of a key");
            // A key that expired since it was named is no longer there to be kept.
            if let Some(dump) = dump {
                keys.push(Key { name, expires_in: if ttl == 0 { 1 } else { ttl.max(0) }, dump });
            }
        }
        Self { keys }
    }

    /// Makes the keys what they were, in one transaction: no client sees anything between.
    pub async fn restore(&self, connection: &mut impl ConnectionLike) {
        let mut pipe = redis::pipe();
        pipe.atomic().cmd("FLUSHDB").ignore();
        for key in &self.keys {
            pipe.cmd("RESTORE").arg(&key.name).arg(key.expires_in).arg(&key.dump).ignore();
        }
        let _: () = pipe.query_async(connection).await.expect("to restore the keys");
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it holds no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
