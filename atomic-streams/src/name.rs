//! Which names a stream or a group may have.

/// The longest name: 1 KiB.
const MAX_NAME_BYTES: usize = 1024;

/// What the keys of this library begin with.
const RESERVED: &str = "atomic-streams:";

/// What is wrong with the name of a stream, if anything is.
pub(crate) fn stream_problem(name: &str) -> Option<&'static str> {
    if name.starts_with(RESERVED) {
        return Some("begins with `atomic-streams:`, which is kept for records and what lies beside them");
    }
    problem(name)
}

/// What is wrong with a name, if anything is.
pub(crate) fn problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > MAX_NAME_BYTES {
        Some("is longer than 1,024 bytes")
    } else if name.chars().any(char::is_control) {
        Some("holds a control character")
    } else {
        None
    }
}
