use atomic_streams::Persistable;

#[derive(Persistable)]
#[persist(rename_all = "camelCase")]
struct Counter {
    #[persist(defualt = 0)]
    count: u64,
    #[persist(with(module))]
    last: u64,
}

fn main() {}
