use atomic_streams::Persistable;

#[derive(Persistable)]
struct Pair(u8, String);

#[derive(Persistable)]
struct Nothing();

fn main() {}
