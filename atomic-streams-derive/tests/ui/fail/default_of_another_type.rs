use atomic_streams::Persistable;

#[derive(Persistable)]
struct Counter {
    #[persist(default = "0")]
    count: u64,
    #[persist(default = "EUR")]
    currency: String,
}

fn main() {}
