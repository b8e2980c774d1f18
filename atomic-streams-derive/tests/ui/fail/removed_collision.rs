use atomic_streams::Persistable;

#[derive(Persistable)]
#[persist(removed("count", "old", "gone", "gone", "skipped"))]
struct Counter {
    count: u64,
    #[persist(alias = "old")]
    new: u64,
    #[persist(skip)]
    skipped: u64,
}

fn main() {}
