use atomic_streams::Persistable;

#[derive(Persistable)]
#[persist(version = 2, migrate = "to_cents")]
struct Quoted;

#[derive(Persistable)]
#[persist(version = 2, migrate = |fields| Ok(fields))]
struct Closure;

#[derive(Persistable)]
#[persist(crate = "atomic_streams")]
struct Crate;

fn main() {}
