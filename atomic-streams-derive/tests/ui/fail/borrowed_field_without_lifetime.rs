use atomic_streams::Persistable;

#[derive(Persistable)]
struct Counter {
    name: &str,
}

fn main() {}
