use atomic_streams::Persistable;

#[derive(Persistable)]
struct Counter {
    #[persist(skip, default = 1)]
    a: u64,
    #[persist(rename = "x", skip)]
    b: u64,
    #[persist(skip)]
    #[persist(alias = "y", alias = "z")]
    c: u64,
}

fn main() {}
