use atomic_streams::Persistable;

#[derive(Persistable)]
union Bits {
    whole: u32,
    parts: [u8; 4],
}

fn main() {}
