use atomic_streams::Persistable;
use serde::{Deserialize, Serialize};

struct Neither;

#[derive(Deserialize)]
struct OnlyDeserialize;

#[derive(Serialize)]
struct OnlySerialize;

#[derive(Persistable)]
struct Handler {
    neither: Neither,
    nested: Vec<Option<OnlyDeserialize>>,
    other: OnlySerialize,
    fine: u64,
}

fn main() {}
