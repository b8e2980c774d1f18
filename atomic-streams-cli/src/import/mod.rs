//! What other programs have kept, read without running any of it.

pub mod pickle;
pub mod python;
