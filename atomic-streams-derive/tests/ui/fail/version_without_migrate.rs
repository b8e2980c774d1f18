use atomic_streams::Persistable;

#[derive(Persistable)]
#[persist(version = 2)]
struct Counter {
    count: u64,
}

fn main() {}
