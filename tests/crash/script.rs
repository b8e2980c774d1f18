//! By which bytes a request is known.

pub const XREAD: &[u8] = b"\r\nXREAD\r\n";

pub fn attach() -> Vec<u8> {
    call_of(include_str!("../../atomic-streams/lua/attach.lua"))
}

pub fn commit() -> Vec<u8> {
    call_of(include_str!("../../atomic-streams/lua/commit.lua"))
}

pub fn renew() -> Vec<u8> {
    call_of(include_str!("../../atomic-streams/lua/renew.lua"))
}

pub fn release() -> Vec<u8> {
    call_of(include_str!("../../atomic-streams/lua/release.lua"))
}

fn call_of(text: &str) -> Vec<u8> {
    format!("EVALSHA\r\n$40\r\n{}\r\n", redis::Script::new(text).get_hash()).into_bytes()
}
