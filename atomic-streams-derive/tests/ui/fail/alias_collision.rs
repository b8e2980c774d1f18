use atomic_streams::Persistable;

#[derive(Persistable)]
struct Counter {
    #[persist(alias = "count")]
    count: u64,
    #[persist(alias = "count")]
    total: u64,
    #[persist(alias = "old", alias = "old")]
    new: u64,
    #[persist(alias = "old")]
    newer: u64,
}

fn main() {}
