use std::borrow::Cow;

use atomic_streams::Persistable;

#[derive(Persistable)]
struct Counter<'a> {
    name: &'a str,
    text: Vec<Cow<'a, str>>,
    #[persist(skip)]
    skipped: &'a str,
}

fn main() {}
