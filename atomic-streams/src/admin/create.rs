//! Making a subscription from outside, out of what another program has kept.

use serde::Serialize;

use super::{Admin, asker, named};
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::id::EntryId;
use crate::persist::{StateError, Stored, UNKNOWN_TYPE, encode_value};
use crate::random;
pub use crate::store::administration::Created;
use crate::store::redis::Asker;

/// A position and a state that another program has come to: what [`Admin::create`] makes a subscription of.
///
/// The types of the fields are not known here. The first consumer that attaches compares their names with those of its handler's
/// fields, as it does for any stored state, and decodes each value as the field's type: what does not fit is a
/// [`SchemaMismatch`](ErrorKind::SchemaMismatch) that names the field, and nothing has happened yet.
///
/// Numbers fit where their value does, text in `String`, arrays in `Vec`, sets, tuples and `StateSet`, maps in `HashMap`, `StateMap`
/// and structs, and nil in `Option`.
#[derive(Clone, Debug)]
pub struct NewRecord {
    pub(crate) position: EntryId,
    pub(crate) processed: u64,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) only_while: Option<(String, Vec<u8>)>,
    version: u32,
}

impl NewRecord {
    /// One that goes on behind this entry.
    #[must_use]
    pub fn at(position: EntryId) -> Self {
        Self { position, processed: 0, fields: Vec::new(), only_while: None, version: 1 }
    }

    /// How many entries the state is made of, if that is known; 0 by default.
    #[must_use]
    pub fn processed(mut self, entries: u64) -> Self {
        self.processed = entries.min(Self::MOST_PROCESSED);
        self
    }

    /// What a script can count to.
    const MOST_PROCESSED: u64 = (1 << 53) - 1;

    /// The version of the handler whose fields these are, 1 by default: a later one migrates them.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// A field of the state and its value. The last value given to a name counts.
    ///
    /// # Errors
    /// The name cannot be one, or the value is too long or too deep; see [`MAX_FIELD_BYTES`](crate::persist::MAX_FIELD_BYTES)
    /// and [`MAX_DEPTH`](crate::persist::MAX_DEPTH).
    pub fn field<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Result<Self, StateError> {
        if let Some(problem) = crate::name::problem(name).or(name.starts_with('@').then_some("begins with an `@`")) {
            let shown: String = name.chars().take(64).collect();
            return Err(StateError::new(format!("the field's name {shown:?} {problem}")));
        }
        let mut bytes = Vec::new();
        encode_value(value, &mut bytes).map_err(|error| error.in_field(name))?;
        self.fields.retain(|(held, _)| held != name);
        self.fields.push((name.to_owned(), bytes));
        Ok(self)
    }

    /// Makes it only while the string at `key` holds this, which is compared in the same script: for a program that notes there
    /// how far it is, and may still be running. In a cluster the key must lie in the stream's slot.
    #[must_use]
    pub fn only_while(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.only_while = Some((key.into(), value.into()));
        self
    }

    pub(crate) fn schema(&self) -> String {
        let fields = self.fields.iter().map(|(name, _)| (name.clone(), UNKNOWN_TYPE.to_owned())).collect();
        Stored { version: self.version, fields }.text()
    }
}

impl Admin {
    /// Makes a subscription that goes on where another program has stopped, with the state that it had.
    ///
    /// ```no_run
    /// use atomic_streams::admin::{Admin, NewRecord};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// // As a script of one's own has kept it, beside the ID of the last entry that it handled.
    /// let record = NewRecord::at("1726000000000-0".parse()?).field("stock", &93_i64)?.field("seen", &["a", "b"])?;
    /// Admin::new("redis://127.0.0.1:6379")?.create("sales", "inventory-tracker", &record).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - [`InUse`](ErrorKind::InUse): there is such a subscription already, or the string that was to be as it was has changed.
    /// - [`RecordLost`](ErrorKind::RecordLost): its record is gone and its group is there.
    /// - [`GroupInUse`](ErrorKind::GroupInUse): another program has a group of this name on the stream.
    /// - [`InvalidConfig`](ErrorKind::InvalidConfig): the position is behind the end of the stream; and as
    ///   [`subscriptions`](Self::subscriptions).
    pub async fn create(&self, stream: &str, group: &str, record: &NewRecord) -> Result<Created, Error> {
        let subscription = named(stream, group)?;
        let (instance, name) = (random::instance_name(), asker());
        let asker = Asker { instance: &instance, name: &name, dry_run: self.dry_run };
        self.ask(&subscription, async |open| open.create(&subscription, record, &asker).await).await
    }
}
