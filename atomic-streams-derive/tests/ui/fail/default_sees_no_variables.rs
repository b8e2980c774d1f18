use atomic_streams::Persistable;

#[derive(Persistable)]
struct Counter {
    #[persist(default = index as u64)]
    count: u64,
    #[persist(default = self.count)]
    last: u64,
}

fn main() {}
