use atomic_streams::Persistable;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Price(i64);

#[derive(Persistable)]
struct Till {
    #[persist(default)]
    price: Price,
}

fn main() {}
