use atomic_streams::Persistable;

#[derive(Persistable)]
struct Unit;

#[derive(Persistable)]
struct Empty {}

#[derive(Persistable)]
struct Named {
    count: u64,
}

fn run<H: Persistable>(_: H) {}

fn main() {
    run(Unit);
    run(Empty {});
    run(Named { count: 0 });
}
