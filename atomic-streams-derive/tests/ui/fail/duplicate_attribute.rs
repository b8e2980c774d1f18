use atomic_streams::Persistable;

#[derive(Persistable)]
#[persist(version = 2, migrate = migrate, version = 3)]
struct Counter {
    #[persist(default, default = 1)]
    count: u64,
    #[persist(rename = "a")]
    #[persist(rename = "b")]
    last: u64,
    #[persist(skip, skip)]
    cache: u64,
}

fn migrate(fields: atomic_streams::StateFields) -> Result<atomic_streams::StateFields, atomic_streams::StateError> {
    Ok(fields)
}

fn main() {}
