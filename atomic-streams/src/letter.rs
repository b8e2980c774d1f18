//! Dead letters: entries that could not be handled, as entries of the stream that keeps them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::entry::{Entry, Fields, MAX_PUBLISH_FIELDS, in_short, shown};
use crate::id::EntryId;
use crate::name::stream_problem;

/// The stream that the entry was read from.
pub const STREAM: &str = "@stream";
/// The group that could not handle it.
pub const GROUP: &str = "@group";
/// The ID that it had.
pub const ID: &str = "@id";
/// When it was given up: milliseconds since the Unix epoch, by the consumer's clock.
pub const TIME_MS: &str = "@time_ms";
/// How often it was tried.
pub const ATTEMPTS: &str = "@attempts";
/// Why it could not be handled, cut to [`MAX_ERROR_BYTES`].
pub const ERROR: &str = "@error";
/// The entry's key, where keys are parked ([`OnFailure::Park`](crate::OnFailure::Park)) and it has one.
pub const KEY: &str = "@key";
/// The ID of the entry behind which it waits: it was not tried itself, since its key was parked.
pub const PARKED_BEHIND: &str = "@parked_behind";
/// How many fields of the dead letter, from its first on, are those of the entry; 0: they are packed. Always the last field.
pub const FIELDS: &str = "@fields";
/// The entry's fields, where they are too many for one `XADD` of a script: a MessagePack map of names and values in their
/// order, repeats kept, each a string if it is UTF-8 and binary if it is not. Then the first field.
pub const PACKED: &str = "@packed";

/// How many bytes of the error's text a dead letter holds.
pub const MAX_ERROR_BYTES: usize = 2_048;

/// How many keys of one subscription may be parked at once; see [`OnFailure::Park`](crate::OnFailure::Park).
pub const MAX_PARKED_KEYS: usize = 100_000;

/// How many bytes a key may have that is parked.
pub const MAX_KEY_BYTES: usize = 1_024;

/// How many of its own fields make an entry a dead letter, and not something else that was put there.
const LIKE: usize = 4;

/// A map of names and values; a name or value may be an array of bytes.
const MAX_PACKED_DEPTH: usize = 8;

/// The fields that are not the entry's, in their order: of an entry without a key, of one with a key that failed itself, and
/// of one behind it.
const ABOUT: [&[&str]; 3] = [
    &[STREAM, GROUP, ID, TIME_MS, ATTEMPTS, ERROR, FIELDS],
    &[STREAM, GROUP, ID, TIME_MS, ATTEMPTS, ERROR, KEY, FIELDS],
    &[STREAM, GROUP, ID, TIME_MS, ATTEMPTS, ERROR, KEY, PARKED_BEHIND, FIELDS],
];

/// An entry that could not be handled, and why.
///
/// In its stream it is an ordinary entry: the fields of the original first, as they were, repeats kept; then, in this order,
/// `@stream`, `@group`, `@id`, `@time_ms`, `@attempts`, `@error` and `@fields`. The last one says how many fields are the
/// original's, so that nothing depends on their names. An original with more than 3,893 fields (3,891 if it has a key) is packed
/// into one field, [`@packed`](crate::dead_letters::PACKED), which then is the first one. Where keys are parked, `@key` stands
/// before `@fields`, and, in a letter that waits behind another one, `@parked_behind` between them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its ID in the dead-letter stream.
    pub id: EntryId,
    /// The entry as it was, under the ID that it had.
    pub entry: Entry,
    /// The stream that the entry was read from.
    pub stream: String,
    /// The group that could not handle it.
    pub group: String,
    /// When it was given up, by the consumer's clock.
    pub time: SystemTime,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it could not be handled.
    pub error: String,
    /// Its key, where keys are parked and it has one.
    pub key: Option<Vec<u8>>,
    /// The entry behind which it waits, if it was not tried itself because its key was parked.
    pub parked_behind: Option<EntryId>,
}

/// What is written about an entry that is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub stream: &'a str,
    pub group: &'a str,
    pub time: SystemTime,
    pub attempts: u32,
    pub error: &'a str,
    pub key: Option<Key<'a>>,
}

/// The key of an entry whose key is parked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub bytes: &'a [u8],
    /// The entry that failed, if it is not this one.
    pub behind: Option<EntryId>,
}

impl About<'_> {
    /// The fields of the dead letter of `entry`.
    pub fn fields_of(&self, entry: &Entry) -> Result<Fields, rmp_serde::encode::Error> {
        // All with a key alike, so that whether they are packed does not depend on what they wait behind.
        let most_about = if self.key.is_some() { ABOUT[2].len() } else { ABOUT[0].len() };
        let is_packed = entry.fields.len() + most_about > MAX_PUBLISH_FIELDS;
        let mut fields = if is_packed {
            let mut fields = Fields::with_capacity(1 + most_about);
            fields.push(PACKED, rmp_serde::to_vec(&entry.fields)?);
            fields
        } else {
            let mut fields = Fields::with_capacity(entry.fields.len() + most_about);
            entry.fields.iter().for_each(|(name, value)| fields.push(name, value));
            fields
        };
        let time_ms = self.time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        fields.push(STREAM, self.stream);
        fields.push(GROUP, self.group);
        fields.push(ID, entry.id.to_string());
        fields.push(TIME_MS, time_ms.to_string());
        fields.push(ATTEMPTS, self.attempts.to_string());
        fields.push(ERROR, cut(self.error));
        if let Some(Key { bytes, behind }) = self.key {
            fields.push(KEY, bytes);
            if let Some(behind) = behind {
                fields.push(PARKED_BEHIND, behind.to_string());
            }
        }
        fields.push(FIELDS, if is_packed { 0 } else { entry.fields.len() }.to_string());
        Ok(fields)
    }
}

impl DeadLetter {
    /// Reads an entry of a dead-letter stream; `None` if it is something else, or damaged.
    #[must_use]
    pub fn of(entry: Entry) -> Option<Self> {
        Self::read(entry).ok().flatten()
    }

    /// Reads an entry of a dead-letter stream; `None` if it is something else.
    ///
    /// # Errors
    /// It is a dead letter, and what is wrong with it.
    pub(crate) fn read(entry: Entry) -> Result<Option<Self>, String> {
        let is_about = |name: &[u8]| ABOUT.iter().flat_map(|names| *names).any(|about| about.as_bytes() == name);
        if entry.fields.iter().filter(|(name, _)| is_about(name)).take(LIKE).count() < LIKE {
            return Ok(None);
        }
        let end = ABOUT.iter().find_map(|names| {
            let count = entry.fields.len().checked_sub(names.len())?;
            let (found, values): (Vec<&[u8]>, Vec<&[u8]>) = entry.fields.iter().skip(count).unzip();
            found.iter().zip(*names).all(|(found, name)| *found == name.as_bytes()).then_some((count, *names, values))
        });
        let Some((count, names, values)) = end else {
            return Err(format!("it does not end with {}", ABOUT[0].join(", ")));
        };
        let last = names.len() - 1;
        let wrong = |place: usize, what| format!("its {} is `{}` and not {what}", names[place], shown(values[place]));
        let text =
            |place: usize| std::str::from_utf8(values[place]).map(str::to_owned).map_err(|_| wrong(place, "UTF-8"));
        let stream = text(0)?;
        if let Some(problem) = stream_problem(&stream) {
            return Err(format!("its {STREAM} `{}` {problem}", shown(stream.as_bytes())));
        }
        let time = text(3)?.parse().ok().and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
        let own: usize = text(last)?.parse().map_err(|_| wrong(last, "a number"))?;
        let parked_behind = match names.get(7) {
            Some(&PARKED_BEHIND) => Some(text(7)?.parse().map_err(|_| wrong(7, "an entry ID"))?),
            _ => None,
        };
        let mut fields = entry.fields.iter().take(count);
        let fields = match own {
            0 if count == 1 => match fields.next() {
                Some((name, packed)) if name == PACKED.as_bytes() => unpacked(packed)?,
                _ => return Err(wrong(last, "1, which there is before those about it")),
            },
            own if own == count => fields.collect(),
            _ => return Err(wrong(last, &format!("{count}, which there are before those about it"))),
        };
        Ok(Some(Self {
            id: entry.id,
            group: text(1)?,
            time: time.ok_or_else(|| wrong(3, "a time in ms"))?,
            attempts: text(4)?.parse().map_err(|_| wrong(4, "a number"))?,
            error: text(5)?,
            entry: Entry { id: text(2)?.parse().map_err(|_| wrong(2, "an entry ID"))?, fields },
            key: (last > 6).then(|| values[6].to_vec()),
            parked_behind,
            stream,
        }))
    }
}

/// The fields that [`PACKED`] holds.
fn unpacked(mut packed: &[u8]) -> Result<Fields, String> {
    let fields = {
        let mut decoder = rmp_serde::Deserializer::new(&mut packed);
        decoder.set_max_depth(MAX_PACKED_DEPTH);
        Fields::deserialize(&mut decoder)
            .map_err(|error| format!("its {PACKED} cannot be unpacked: {}", in_short(error)))?
    };
    match packed.len() {
        0 => Ok(fields),
        rest => Err(format!("its {PACKED} cannot be unpacked: {rest} bytes follow the fields")),
    }
}

/// The beginning of a text that may be long.
fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_ERROR_BYTES)).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: Fields) -> Entry {
        Entry { id: EntryId::new(5, 7), fields }
    }

    fn about(error: &str) -> About<'_> {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        About { stream: "sales", group: "billing", time, attempts: 3, error, key: None }
    }

    fn letter_of(fields: Fields) -> Option<DeadLetter> {
        DeadLetter::of(Entry { id: EntryId::new(9, 0), fields })
    }

    fn names(fields: &Fields) -> Vec<&str> {
        fields.iter().map(|(name, _)| std::str::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn the_original_comes_first_as_it_was() {
        let mut fields = Fields::new();
        for (name, value) in [("n", "1"), ("n", "2"), ("@error", "own"), ("@fields", "99")] {
            fields.push(name, value);
        }
        fields.push([0xff], [0, 0xfe]);
        let written = about("no").fields_of(&entry(fields.clone())).unwrap();
        assert!(written.iter().zip(fields.iter()).all(|(written, own)| written == own));
        let letter = letter_of(written).unwrap();
        assert_eq!(letter.entry, entry(fields));
        assert_eq!(
            (letter.id, letter.stream.as_str(), letter.group.as_str()),
            (EntryId::new(9, 0), "sales", "billing")
        );
        assert_eq!((letter.attempts, letter.error.as_str(), letter.time), (3, "no", about("").time));
    }

    #[test]
    fn a_dead_letter_may_become_one_itself() {
        let first = entry(about("first").fields_of(&entry([("a", "b")].into_iter().collect())).unwrap());
        let letter = letter_of(about("second").fields_of(&first).unwrap()).unwrap();
        assert_eq!((letter.error.as_str(), &letter.entry), ("second", &first));
        assert_eq!(DeadLetter::of(letter.entry).unwrap().error, "first");
    }

    #[test]
    fn too_many_fields_are_packed_into_one() {
        for (count, packed) in [(MAX_PUBLISH_FIELDS - 7, false), (MAX_PUBLISH_FIELDS - 6, true), (20_000, true)] {
            let mut fields: Fields = (0..count - 1).map(|n| ((n % 7).to_string(), n.to_string())).collect();
            fields.push([0xff], [0xfe]);
            let written = about("no").fields_of(&entry(fields.clone())).unwrap();
            assert_eq!(written.len() == 8, packed, "{count}");
            assert!(written.len() <= MAX_PUBLISH_FIELDS);
            assert_eq!(letter_of(written).unwrap().entry.fields, fields);
        }
    }

    #[test]
    fn what_is_packed_is_read_whole_or_not_at_all() {
        let with = |packed: &[u8]| {
            let written = about("no").fields_of(&entry(Fields::new())).unwrap();
            let first = [(PACKED.as_bytes(), packed)].into_iter();
            DeadLetter::read(entry(first.chain(written.iter()).collect()))
        };
        let sound = b"\x82\xa1a\xa1b\xa1a\xc4\x01\xff";
        assert_eq!(with(sound).unwrap().unwrap().entry.fields.len(), 2);
        for end in 0..sound.len() {
            assert!(with(&sound[..end]).unwrap_err().contains("cannot be unpacked"), "cut at {end}");
        }
        assert!(with(b"\x81\xa1a\xa1b\x01").unwrap_err().contains("1 bytes follow"));
        let (deep, long) = (vec![0x91; 100_000], b"\x81\xa1a\x93\xdd\xff\xff\xff\xff");
        let others: [&[u8]; 7] = [
            b"\xdf\xff\xff\xff\xff\xa1a",
            b"\x81\xdb\xff\xff\xff\xff",
            b"\x81\xa1a\xc6\xff\xff\xff\xff",
            b"\x81\xa1a\xc9\xff\xff\xff\xff\x01",
            b"\x92\xa1a\xa1b",
            &[b"\x81\xa1a", &deep[..]].concat(),
            long,
        ];
        for bytes in others {
            assert!(with(bytes).unwrap_err().contains("cannot be unpacked"), "{:x?}", &bytes[..bytes.len().min(12)]);
        }
    }

    #[test]
    fn a_key_and_what_it_waits_behind_come_before_the_number_of_fields() {
        let own = entry([("customer", "a"), (KEY, "own"), (PARKED_BEHIND, "own")].into_iter().collect());
        for behind in [None, Some(EntryId::new(4, 2))] {
            let key = Key { bytes: &[0xff, 0, 0xfe], behind };
            let written = About { key: Some(key), ..about("no") }.fields_of(&own).unwrap();
            let about = [STREAM, GROUP, ID, TIME_MS, ATTEMPTS, ERROR, KEY].into_iter();
            let about: Vec<&str> = about.chain(behind.map(|_| PARKED_BEHIND)).chain([FIELDS]).collect();
            assert_eq!(names(&written)[3..], about);
            let letter = letter_of(written).unwrap();
            assert_eq!((letter.key.as_deref(), letter.parked_behind), (Some(key.bytes), behind));
            assert_eq!(letter.entry, own);
        }
        let count = MAX_PUBLISH_FIELDS - 9;
        for (count, packed) in [(count, false), (count + 1, true)] {
            let own = entry((0..count).map(|n| (n.to_string(), "x")).collect());
            let key = Key { bytes: b"k", behind: Some(own.id) };
            let written = About { key: Some(key), ..about("no") }.fields_of(&own).unwrap();
            assert_eq!((written.len() == 10, written.len() <= MAX_PUBLISH_FIELDS), (packed, true));
            assert_eq!(letter_of(written).unwrap().entry, own);
        }
    }

    #[test]
    fn the_error_is_cut_between_two_characters() {
        let error = "ä".repeat(MAX_ERROR_BYTES) + "x";
        let written = about(&error).fields_of(&entry([("a", "b")].into_iter().collect())).unwrap();
        assert_eq!(names(&written), ["a", STREAM, GROUP, ID, TIME_MS, ATTEMPTS, ERROR, FIELDS]);
        assert_eq!(written.get(ERROR).map(<[u8]>::len), Some(MAX_ERROR_BYTES));
        let error = "x".to_owned() + &error;
        let written = about(&error).fields_of(&entry([("a", "b")].into_iter().collect())).unwrap();
        assert_eq!(written.get(ERROR).map(<[u8]>::len), Some(MAX_ERROR_BYTES - 1));
    }

    #[test]
    fn other_entries_are_no_dead_letters() {
        let written = about("no").fields_of(&entry([("a", "b")].into_iter().collect())).unwrap();
        let changed = |name: &str, value: &str| -> Fields {
            let change =
                |(n, v): (&[u8], &[u8])| (n.to_vec(), if n == name.as_bytes() { value.into() } else { v.to_vec() });
            written.iter().map(change).collect()
        };
        assert!(letter_of(changed("@none", "")).is_some());
        for (name, value) in
            [(FIELDS, "2"), (FIELDS, "0"), (FIELDS, "-"), (ID, "x"), (ATTEMPTS, "-1"), (TIME_MS, "soon")]
        {
            let changed = changed(name, value);
            assert_eq!(letter_of(changed.clone()), None, "{name} {value}");
            let problem = DeadLetter::read(entry(changed)).unwrap_err();
            assert!(problem.starts_with(&format!("its {name} is `{value}` and not ")), "{problem}");
        }
        let problem = DeadLetter::read(entry(changed(STREAM, "a\nb"))).unwrap_err();
        assert_eq!(problem, "its @stream `a\\nb` holds a control character");
        assert_eq!(DeadLetter::read(entry([("a", "b"), (FIELDS, "1")].into_iter().collect())), Ok(None));
        let packed = about("no").fields_of(&entry([(PACKED, "\u{1}")].into_iter().collect())).unwrap();
        assert_eq!(
            letter_of(packed).unwrap().entry.fields.get_str(PACKED),
            Some("\u{1}"),
            "its own field of that name"
        );
    }
}
