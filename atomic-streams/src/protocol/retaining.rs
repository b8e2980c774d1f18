//! Trimming a stream up to what all of its groups have committed: the arguments and replies of `trim.lua`, as types.

use crate::id::EntryId;

use super::subscription::Subscription;

/// Entries that are kept, whoever has committed them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floors {
    pub entries: Option<u64>,
    /// By the server's clock.
    pub age_ms: Option<u64>,
}

/// How a call of the script removes entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Whole nodes of the stream alone.
    Rough,
    /// Every entry that may go.
    Exact,
    /// None: those that may go are counted, from behind this ID on.
    Count { after: Option<EntryId> },
}

/// Somebody who reads the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The group's name, which another program may have chosen.
    pub group: Vec<u8>,
    /// The key of its record, where it can have one.
    pub record: Option<String>,
    /// The stream has this group; else it is one that the user expects.
    pub exists: bool,
}

/// The arguments of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrimRequest {
    pub stream: String,
    pub floors: Floors,
    pub removal: Removal,
    /// Nothing behind this ID is removed: the stream's last one at the first call.
    pub up_to: Option<EntryId>,
    /// Entries that one call looks at and removes at most.
    pub most: u64,
    /// The floors alone decide where there is no group.
    pub without_groups: bool,
    pub readers: Vec<Reader>,
}

impl TrimRequest {
    /// The groups that the stream has, and those that are expected besides.
    pub fn readers(stream: &str, groups: &[Vec<u8>], expected: &[String]) -> Vec<Reader> {
        let record = |group: &str| Subscription::new(stream, group).ok().map(|each| each.record().to_owned());
        let existing = groups.iter().map(|group| Reader {
            group: group.clone(),
            record: std::str::from_utf8(group).ok().and_then(record),
            exists: true,
        });
        let missing = expected.iter().filter(|name| groups.iter().all(|group| group != name.as_bytes()));
        let missing = missing.map(|name| Reader { group: name.clone().into(), record: record(name), exists: false });
        existing.chain(missing).collect()
    }
}

/// Why a group needs the entries from somewhere on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Holding {
    /// It has not committed them yet, or, another program's group, not taken them.
    Behind,
    /// Another program's group has taken entries and not acknowledged them.
    Pending,
    /// The group is one of this library, and its record is gone, so nobody knows its position: restore the record, or destroy
    /// the group.
    RecordLost,
    /// The stream was replaced by one that ends before the group's position: its consumer has yet to be told what to do.
    StreamReplaced,
    /// It was [expected](crate::Retention::expect_group), and there is neither the group nor its record.
    Missing,
}

/// The group that needs the lowest entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub group: String,
    pub position: Option<EntryId>,
    pub why: Holding,
}

/// What one call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// Entries removed; or counted.
    pub removed: u64,
    pub left: u64,
    /// Another call may do more.
    pub more: bool,
    pub up_to: EntryId,
    /// Where counting goes on.
    pub counted_to: Option<EntryId>,
    /// Entries left before the first one that the holder needs, as far as they were counted.
    pub early: u64,
    /// Who needs entries that the age would let go.
    pub holder: Option<Holder>,
}

/// The replies of `trim.lua`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrimReply {
    Trimmed(Trimmed),
    /// The stream has other groups than those that were named.
    Changed,
    NoStream,
    NoGroup,
    WrongType {
        key: String,
        holds: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_has_a_record_where_its_name_can_be_one_of_ours() {
        let groups = [b"billing".to_vec(), b"a@b".to_vec(), vec![0xff]];
        let readers = TrimRequest::readers("orders", &groups, &["billing".to_owned(), "audit".to_owned()]);
        let shown: Vec<_> = readers.iter().map(|each| (each.record.as_deref(), each.exists)).collect();
        let (billing, audit) = ("atomic-streams:{orders}:billing", "atomic-streams:{orders}:audit");
        assert_eq!(shown, [(Some(billing), true), (None, true), (None, true), (Some(audit), false)]);
    }
}
