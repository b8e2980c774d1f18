//! Python's pickles of plain values, protocols 0 to 5: None, bool, int, float, str, bytes, list, tuple, dict, set, frozenset.
//!
//! A pickle is a program for a machine with a stack, and this machine knows only the instructions that build these values.
//! Nothing is imported, called or looked up: what names a class or a function is refused with that name, and any other
//! instruction with its own. Values that lie in several places of the pickle are shared here too, so that a small one cannot
//! claim more memory than it has; how large it is when it is written out is reckoned before anybody writes it.

mod machine;
mod measure;
mod opcode;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

pub use self::value::Tree;

/// The longest pickle that is read: 64 MiB.
pub const MAX_BYTES: usize = 64 << 20;

/// Values, places on the stack, and entries of the memo at most, of each.
const MAX_VALUES: usize = 2_000_000;

/// Instructions at most.
const MAX_STEPS: usize = 16_000_000;

/// How many values there may be when each is written out wherever it lies.
const MAX_WRITTEN: u64 = 4_000_000;

/// Why a pickle is not read.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// It holds a value of this type.
    fn of_type(module: &str, name: &str) -> Self {
        let short = |text: &str| text.chars().take(64).flat_map(char::escape_debug).collect::<String>();
        Self(format!("it holds a `{}.{}`", short(module), short(name)))
    }

    fn cut() -> Self {
        Self::new("it ends in the middle")
    }

    fn broken() -> Self {
        Self::new("it is no pickle of a value: its instructions do not fit together")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a pickle.
pub fn read(bytes: &[u8]) -> Result<Tree<'_>, Refusal> {
    if bytes.len() > MAX_BYTES {
        return Err(Refusal::new(format!("it has {} bytes, and at most {MAX_BYTES} are read", bytes.len())));
    }
    let tree = machine::Machine::new(bytes).run()?;
    measure::measure(&tree)?;
    Ok(tree)
}
