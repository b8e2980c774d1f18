//! What both benchmarks stand on: the workload, the workers, and how a worker is run and measured.

pub mod arguments;
pub mod by_hand;
pub mod child;
pub mod consumer;
pub mod machine;
pub mod meter;
pub mod outcome;
pub mod server;
pub mod table;
pub mod workload;

/// What ends a benchmark, in words.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
