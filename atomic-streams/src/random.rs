//! Randomness for names and pauses; none of it is secret.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number. Every `RandomState` has keys of its own, which the standard library seeds from the system.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// 128 random bits in hexadecimal.
pub(crate) fn instance_name() -> String {
    format!("{:016x}{:016x}", random(), random())
}
