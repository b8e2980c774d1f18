use atomic_streams::Persistable;

#[derive(Persistable)]
#[persist(removed(old), removed = "old", removed())]
struct Counter {
    #[persist(rename = total)]
    a: u64,
    #[persist(rename("total"))]
    b: u64,
    #[persist(alias = 1, alias)]
    c: u64,
    #[persist(skip = true)]
    d: u64,
    #[persist(default(1))]
    e: u64,
}

fn main() {}
