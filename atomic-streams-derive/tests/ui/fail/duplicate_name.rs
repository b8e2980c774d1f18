use atomic_streams::Persistable;

#[derive(Persistable)]
struct Counter {
    count: u64,
    #[persist(rename = "count")]
    total: u64,
    #[persist(rename = "seen")]
    first: u64,
    #[persist(rename = "seen")]
    second: u64,
    #[persist(rename = "type")]
    kind: u8,
    r#type: u8,
}

fn main() {}
