//! `publish`: adding entries.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead, Read};

use atomic_streams::{ErrorKind, Fields, Producer};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::args::PublishArgs;
use crate::connect::Server;
use crate::exit::{Exit, Failure};
use crate::view::{Look, Show, bytes, one_line};

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
            published.add(&producer, &fields).await?;
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
        let Object(fields) = serde_json::from_str(json).map_err(|error| {
            Failure::usage(format!("{place}: {error}; write a JSON object, such as {{\"sku\": \"A-1\"}}"))
        })?;
        self.add(producer, &fields).await
    }

    async fn add(&mut self, producer: &Producer, fields: &Fields) -> Result<(), Failure> {
        if self.dry_run {
            self.preview.push(bytes::line(fields));
        } else {
            let added = producer.publish(&self.stream, fields).await.map_err(|error| {
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
            text += &format!("would be added to {}: {preview}\n", one_line(&self.stream));
        }
        text
    }
}

/// A JSON object as the fields of an entry, in its order. Numbers and what is nested keep the digits that they are written with;
/// a member that is `null` is left out.
struct Object(Fields);

/// What becomes of one member.
fn value(raw: &RawValue) -> serde_json::Result<Option<Vec<u8>>> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => Some(serde_json::from_str::<String>(text)?.into_bytes()),
        Some(b'{' | b'[') => {
            // What looks like JSON from the outside may still be none within.
            serde_json::from_str::<Value>(text)?;
            Some(text.into())
        }
        _ => Some(text.into()),
    })
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
                let (mut fields, mut names) = (Fields::new(), HashSet::new());
                while let Some((name, raw)) = map.next_entry::<String, Box<RawValue>>()? {
                    if let Some(value) = value(&raw).map_err(A::Error::custom)? {
                        fields.push(name.clone(), value);
                    }
                    if let Some(twice) = names.replace(name) {
                        return Err(A::Error::custom(format!("`{twice}` is there twice")));
                    }
                }
                if fields.is_empty() {
                    return Err(A::Error::custom("an entry needs a field, and none of its members makes one"));
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Members)
    }
}
