use atomic_streams::Persistable;

#[derive(Persistable)]
enum Phase {
    Idle,
    Running,
}

fn main() {}
