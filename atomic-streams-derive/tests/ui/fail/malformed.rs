use atomic_streams::Persistable;

#[derive(Persistable)]
#[persist]
struct Bare {
    #[persist = "skip"]
    a: u8,
    #[persist()]
    b: u8,
    #[persist[skip]]
    c: u8,
    #[persist("name")]
    d: u8,
    #[persist(rename "name")]
    e: u8,
    #[persist(default = )]
    f: u8,
    #[persist(default =, alias = "x")]
    g: u8,
    #[persist(default = 1 2)]
    h: u8,
    #[persist(default: 1)]
    i: u8,
    #[persist(default = 1 +)]
    j: u8,
    #[persist(default; skip)]
    k: u8,
}

fn main() {}
