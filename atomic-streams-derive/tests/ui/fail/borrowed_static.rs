use std::borrow::Cow;

use atomic_streams::Persistable;

#[derive(Persistable)]
struct Counter {
    name: &'static str,
    fine: Cow<'static, str>,
}

fn main() {}
