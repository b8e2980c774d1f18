//! Where an example runs: on `REDIS_URL`, on a server found on the PATH, else in memory.

// No example uses all of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use atomic_streams::{ConsumerBuilder, ConsumerHandle, DeadLetters, Fields, MemoryStore, Producer, redis};
use support::{ExampleServer, example_server};

pub enum Setup {
    Server(ExampleServer),
    Memory(MemoryStore),
}

impl Setup {
    pub async fn find() -> Self {
        example_server().await.map_or_else(|| Self::Memory(MemoryStore::new()), Self::Server)
    }

    /// Tells the consumer where its server is.
    pub fn connect<H>(&self, builder: ConsumerBuilder<H>) -> ConsumerBuilder<H> {
        match self {
            Self::Server(server) => builder.redis_url(server.url()),
            Self::Memory(store) => builder.in_memory(store),
        }
    }

    pub fn producer(&self) -> Result<Producer, atomic_streams::Error> {
        match self {
            Self::Server(server) => Producer::new(server.url()),
            Self::Memory(store) => Ok(Producer::in_memory(store)),
        }
    }

    pub fn dead_letters(&self, stream: &str) -> Result<DeadLetters, atomic_streams::Error> {
        match self {
            Self::Server(server) => DeadLetters::new(server.url(), stream),
            Self::Memory(store) => DeadLetters::in_memory(store, stream),
        }
    }

    /// The entries of a stream, as text.
    pub async fn read(&self, stream: &str) -> Result<Vec<BTreeMap<String, String>>, Box<dyn Error>> {
        let text = |fields: &Fields| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            fields.iter().map(|(name, value)| (text(name), text(value))).collect()
        };
        match self {
            Self::Memory(store) => Ok(store.entries(stream).iter().map(|entry| text(&entry.fields)).collect()),
            Self::Server(server) => {
                let client = redis::Client::open(server.url())?;
                let mut connection = client.get_multiplexed_async_connection().await?;
                let entries: Vec<(String, Vec<(String, String)>)> =
                    redis::cmd("XRANGE").arg(stream).arg("-").arg("+").query_async(&mut connection).await?;
                Ok(entries.into_iter().map(|(_, fields)| fields.into_iter().collect()).collect())
            }
        }
    }
}

/// Waits until a consumer has committed so many entries.
pub async fn until_processed(consumer: &ConsumerHandle, entries: u64) {
    while consumer.stats().processed < entries {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
