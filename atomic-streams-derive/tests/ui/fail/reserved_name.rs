use atomic_streams::Persistable;

#[derive(Persistable)]
#[persist(removed("@version", ""))]
struct Counter {
    #[persist(rename = "@count")]
    count: u64,
    #[persist(rename = "")]
    total: u64,
    #[persist(alias = "@old", alias = "")]
    new: u64,
}

fn main() {}
