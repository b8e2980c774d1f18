//! The names that belong to one subscription.

use crate::name;
use crate::persist::CollectionKind;

/// A stream, a group on it, and the key of their record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subscription {
    stream: String,
    group: String,
    record: String,
}

/// Why a name cannot be a stream's or a group's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} name {name:?} {problem}")]
pub struct InvalidName {
    what: &'static str,
    name: String,
    problem: &'static str,
}

impl Subscription {
    pub fn new(stream: &str, group: &str) -> Result<Self, InvalidName> {
        let checked = |what, name, problem: Option<_>| {
            problem.map_or(Ok(()), |problem| Err(InvalidName::new(what, name, problem)))
        };
        checked("stream", stream, name::stream_problem(stream))?;
        checked("group", group, name::problem(group))?;
        if group.contains('@') {
            return Err(InvalidName::new(
                "group",
                group,
                "holds an `@`, which is kept for keys beside the record: write another character",
            ));
        }
        let tagged = if hash_tag(stream).is_some() { stream.to_owned() } else { format!("{{{stream}}}") };
        Ok(Self {
            stream: stream.to_owned(),
            group: group.to_owned(),
            record: format!("atomic-streams:{tagged}:{group}"),
        })
    }

    pub fn stream(&self) -> &str {
        &self.stream
    }

    pub fn group(&self) -> &str {
        &self.group
    }

    /// The key of the record, in the stream's own cluster slot; also the channel that announces its release.
    pub fn record(&self) -> &str {
        &self.record
    }

    /// The key of a collection beside the record, in the same slot.
    pub fn collection(&self, kind: CollectionKind, field: &str) -> String {
        format!("{}@{kind}:{field}", self.record)
    }
}

impl InvalidName {
    fn new(what: &'static str, name: &str, problem: &'static str) -> Self {
        Self { what, name: name.chars().take(64).collect(), problem }
    }
}

/// The part of a key that decides its cluster slot, if it names one.
fn hash_tag(key: &str) -> Option<&str> {
    let (_, rest) = key.split_once('{')?;
    let (tag, _) = rest.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_lies_in_the_streams_slot_and_names_it_whole() {
        let record = |stream, group| Subscription::new(stream, group).unwrap().record().to_owned();
        assert_eq!(record("orders", "billing"), "atomic-streams:{orders}:billing");
        assert_eq!(record("{app}:orders", "billing"), "atomic-streams:{app}:orders:billing");
        assert_ne!(record("{app}:orders", "billing"), record("{app}:payments", "billing"));
    }

    #[test]
    fn names_that_cannot_be_are_refused_with_a_reason() {
        for (stream, group) in
            [("", "g"), ("s", ""), ("s", "g@x"), ("s\n", "g"), ("s", "\u{7}"), ("atomic-streams:{s}:g", "g")]
        {
            assert!(Subscription::new(stream, group).is_err(), "{stream:?} {group:?}");
        }
        let error = Subscription::new(&"x".repeat(10_000), "g").unwrap_err().to_string();
        assert!(error.len() < 200 && error.contains("1,024"), "{error}");
    }
}
