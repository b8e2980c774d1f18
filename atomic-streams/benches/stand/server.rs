//! Servers of the benchmarks' own.

use std::path::Path;

use support::{Server, ServerBuilder};

/// A server yet to be started: this binary, or the one on the PATH.
pub fn server(binary: Option<&Path>) -> ServerBuilder {
    match binary {
        Some(binary) => Server::builder().binary(binary),
        None => Server::builder(),
    }
}
