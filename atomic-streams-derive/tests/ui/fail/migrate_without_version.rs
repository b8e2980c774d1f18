use atomic_streams::{Persistable, StateError, StateFields};

#[derive(Persistable)]
#[persist(migrate = migrate)]
struct Counter {
    count: u64,
}

#[derive(Persistable)]
#[persist(version = 1, migrate = migrate)]
struct First {
    count: u64,
}

fn migrate(fields: StateFields) -> Result<StateFields, StateError> {
    Ok(fields)
}

fn main() {}
