use atomic_streams::Persistable;

#[derive(Persistable)]
#[persist(version = 2, removed("old"), colour = "red")]
struct Handler<'a> {
    #[persist(rename = 1)]
    a: u64,
    #[persist(skip, default = 1)]
    b: u64,
    #[persist(alias = "old")]
    c: u64,
    #[persist(rename = "c")]
    d: u64,
    #[persist(rename = "@e", version = 3)]
    e: &'a str,
    #[persist(default = 1 alias = "g")]
    f: u64,
}

fn run<H: Persistable>(_: H) {}

// Says nothing more of a struct that has errors.
fn use_it(handler: Handler<'_>) {
    run(handler);
}

fn main() {}
