//! `publish`: adding entries.

use std::fmt;
use std::io::{self, BufRead, Read};

use atomic_streams::{ErrorKind, Fields, Producer};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::args::PublishArgs;
use crate::connect::Server;
use crate::exit::{Exit, Failure};
use crate::view::{Look, Show, bytes};

/// The longest line of standard input.
const MAX_LINE_BYTES: u64 = 64 << 20;

#[derive(Debug, serde::Serialize)]
pub struct Published {
    stream: String,
    /// IDs of what was added, in their order.
    ids: Vec<String>,
    /// How many entries were added, or would be.
    entries: u64,
    dry_run: bool,
    #[serde(skip)]
    preview: Vec<String>,
}

pub async fn run(server: &Server, args: PublishArgs) -> Result<Published, Failure> {
    let producer = server.producer()?;
    let mut published =
        Published { stream: args.stream, ids: Vec::new(), entries: 0, dry_run: args.dry_run, preview: Vec::new() };
    match args.object.as_deref() {
        None => {
            let fields: Fields = args.fields.into_iter().collect();
            published.add(&producer, &fields, || bytes::line(&fields)).await?;
        }
        Some("-") => published.add_lines(&producer, io::stdin().lock()).await?,
        Some(object) => published.add_object(&producer, object, "--object").await?,
    }
    Ok(published)
}

impl Published {
    async fn add_lines(&mut self, producer: &Producer, mut input: impl BufRead) -> Result<(), Failure> {
        let mut line = String::new();
        for number in 1_u64.. {
            line.clear();
            let read = Read::take(&mut input, MAX_LINE_BYTES).read_line(&mut line);
            let read =
                read.map_err(|error| Failure::new(Exit::Failed, format!("standard input, line {number}: {error}")))?;
            if read == 0 {
                break;
            }
            if line.trim().is_empty() {
                continue;
            }
            // What was added before stays: say how far it came.
            let place = format!("standard input, line {number}, after {} were added", self.entries);
            self.add_object(producer, &line, &place).await?;
        }
        Ok(())
    }

    async fn add_object(&mut self, producer: &Producer, json: &str, place: &str) -> Result<(), Failure> {
        let object: Object = serde_json::from_str(json).map_err(|error| {
            Failure::usage(format!("{place}: {error}; write a JSON object, such as {{\"sku\": \"A-1\"}}"))
        })?;
        self.add(producer, &object, || json.trim().to_owned()).await
    }

    async fn add<T: Serialize>(
        &mut self,
        producer: &Producer,
        message: &T,
        preview: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.dry_run {
            self.preview.push(preview());
        } else {
            let added = producer.publish(&self.stream, message).await.map_err(|error| {
                let kind = error.kind();
                let mut failure = Failure::from(error);
                if kind == ErrorKind::Unavailable {
                    // Whoever asks again after a lost answer may add it twice.
                    failure.words +=
                        "; where the connection was lost, the entry may have been added: look with `tail` first";
                }
                failure
            });
            self.ids.push(added?.to_string());
        }
        self.entries += 1;
        Ok(())
    }
}

impl Show for Published {
    fn text(&self, _look: &Look) -> String {
        let mut text = String::new();
        for id in &self.ids {
            text += &format!("{id}\n");
        }
        for preview in &self.preview {
            text += &format!("would be added to {}: {preview}\n", self.stream);
        }
        text
    }
}

/// A JSON object with its members in their order. Numbers and what is nested keep the digits that they were written with.
struct Object(Vec<(String, Member)>);

enum Member {
    Null,
    Bool(bool),
    Text(String),
    AsWritten(Box<RawValue>),
}

impl Member {
    fn of(raw: Box<RawValue>) -> serde_json::Result<Self> {
        Ok(match raw.get().as_bytes().first() {
            Some(b'"') => Self::Text(serde_json::from_str(raw.get())?),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') => Self::Null,
            _ => Self::AsWritten(raw),
        })
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::AsWritten(raw) => serializer.serialize_str(raw.get()),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, member)| (name, member)))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some((name, raw)) = map.next_entry()? {
                    members.push((name, Member::of(raw).map_err(A::Error::custom)?));
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}
