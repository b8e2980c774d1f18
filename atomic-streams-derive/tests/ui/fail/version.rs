use atomic_streams::Persistable;

#[derive(Persistable)]
#[persist(version = 0)]
struct Zero;

#[derive(Persistable)]
#[persist(version = "2")]
struct Text;

#[derive(Persistable)]
#[persist(version = 1.5)]
struct Fraction;

#[derive(Persistable)]
#[persist(version = -1)]
struct Negative;

#[derive(Persistable)]
#[persist(version = 4294967296)]
struct Large;

#[derive(Persistable)]
#[persist(version)]
struct Bare;

#[derive(Persistable)]
#[persist(version(2))]
struct List;

fn main() {}
