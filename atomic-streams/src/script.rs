//! The Lua scripts, and the names under which a server keeps them.

use std::sync::LazyLock;

/// One script: its text, and the SHA-1 by which `EVALSHA` calls it.
#[derive(Debug)]
pub(crate) struct Script {
    pub text: &'static str,
    pub sha: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, sha: sha1_smol::Sha1::from(text).digest().to_string() }
    }
}

pub(crate) static ATTACH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/attach.lua")));
pub(crate) static COMMIT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/commit.lua")));
pub(crate) static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/renew.lua")));
pub(crate) static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/release.lua")));
pub(crate) static SCAN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/scan.lua")));

/// These two are for dead letters that are put back.
pub(crate) static REQUEUE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/requeue.lua")));
pub(crate) static WITHDRAW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/withdraw.lua")));

/// These are for administration.
pub(crate) static INSPECT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/inspect.lua")));
pub(crate) static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/read.lua")));
pub(crate) static SEEK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/seek.lua")));
pub(crate) static DELETE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/delete.lua")));
pub(crate) static KEEP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/keep.lua")));
pub(crate) static PUT_BACK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/put_back.lua")));

/// Every script that a session needs.
pub(crate) fn all() -> [&'static Script; 5] {
    [&ATTACH, &COMMIT, &RENEW, &RELEASE, &SCAN]
}
