use atomic_streams::{Persistable, StateMap, StateSet};

type Stock = StateMap<String, i64>;

#[derive(Persistable)]
struct BehindAnAlias {
    stock: Stock,
}

#[derive(Persistable)]
struct InsideAnotherType {
    seen: Option<StateSet<u8>>,
}

mod foreign {
    pub struct StateMap<K, V>(pub Vec<(K, V)>);
}

#[derive(Persistable)]
struct Foreign {
    stock: foreign::StateMap<String, i64>,
}

fn main() {}
