use atomic_streams::Persistable;

struct Handler {
    count: u64,
}

fn run<H: Persistable>(_: H) {}

fn main() {
    run(Handler { count: 0 });
    run(1);
}
