//! The Lua scripts, and the names under which a server keeps them.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

/// One script: its text, and the SHA-1 by which `EVALSHA` calls it.
#[derive(Debug)]
pub(crate) struct Script {
    pub text: Cow<'static, str>,
    pub sha: String,
}

impl Script {
    fn new(text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        Self { sha: sha1_smol::Sha1::from(&*text).digest().to_string(), text }
    }
}

/// Every script that a session needs.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub attach: Script,
    pub commit: Script,
    pub renew: Script,
    pub release: Script,
    pub scan: Script,
}

impl Scripts {
    /// The scripts as they are.
    pub fn own() -> Arc<Self> {
        static OWN: LazyLock<Arc<Scripts>> = LazyLock::new(|| Arc::new(Scripts::changed(Cow::Borrowed)));
        Arc::clone(&OWN)
    }

    /// The scripts after a change to their texts.
    pub fn changed(change: impl Fn(&'static str) -> Cow<'static, str>) -> Self {
        let script = |text| Script::new(change(text));
        Self {
            attach: script(include_str!("../lua/attach.lua")),
            commit: script(include_str!("../lua/commit.lua")),
            renew: script(include_str!("../lua/renew.lua")),
            release: script(include_str!("../lua/release.lua")),
            scan: script(include_str!("../lua/scan.lua")),
        }
    }

    pub fn all(&self) -> [&Script; 5] {
        [&self.attach, &self.commit, &self.renew, &self.release, &self.scan]
    }
}

/// For retention.
pub(crate) static TRIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/trim.lua")));

/// These are for dead letters that are put back or handled again.
pub(crate) static REQUEUE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/requeue.lua")));
pub(crate) static WITHDRAW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/withdraw.lua")));

pub(crate) static UNPARK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/unpark.lua")));
pub(crate) static WAITING: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/waiting.lua")));

/// These are for administration.
pub(crate) static INSPECT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/inspect.lua")));
pub(crate) static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/read.lua")));
pub(crate) static SEEK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/seek.lua")));
pub(crate) static DELETE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/delete.lua")));
pub(crate) static KEEP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/keep.lua")));
pub(crate) static PUT_BACK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/put_back.lua")));

pub(crate) static CREATE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/create.lua")));

/// This one is for whoever examines a server.
pub(crate) static RIGHTS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/rights.lua")));
