//! Fuzz targets for everything that is read from a server; CONTRIBUTING.md says how to run them.

// A failed expectation is what a fuzzer looks for.
#![allow(clippy::expect_used)]

pub mod targets;
