//! Randomness for names and pauses; none of it is secret.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number. Every `RandomState` has keys of its own, which the standard library seeds from the system.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// 96 random bits in 16 characters: short enough for a head to be one of the strings that Redis keeps in one piece (44 bytes).
pub(crate) fn instance_name() -> String {
    const CHARACTERS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    let bits = u128::from(random()) << 64 | u128::from(random());
    (0..16).map(|place| char::from(CHARACTERS[(bits >> (6 * place) & 63) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_hold_nothing_that_a_token_is_taken_apart_by() {
        let names: std::collections::HashSet<String> = (0..1_000).map(|_| instance_name()).collect();
        assert_eq!(names.len(), 1_000);
        assert!(names.iter().all(|name| name.len() == 16 && !name.contains(['.', ':'])));
    }
}
