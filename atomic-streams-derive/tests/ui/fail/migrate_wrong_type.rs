use atomic_streams::Persistable;

#[derive(Persistable)]
#[persist(version = 2, migrate = to_cents)]
struct Till {
    cents: i64,
}

fn to_cents(euros: i64) -> i64 {
    euros * 100
}

fn main() {}
