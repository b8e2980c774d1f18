use atomic_streams::Persistable;

#[derive(Persistable)]
#[persist(default, skip, rename = "x", alias = "y")]
struct Counter {
    #[persist(removed("a"), version = 2)]
    a: u64,
    #[persist(migrate = f, crate = atomic_streams)]
    b: u64,
}

fn main() {}
