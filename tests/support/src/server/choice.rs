//! Which server the tests run on.

use std::env;
use std::path::PathBuf;

use crate::child::on_path;

/// Where a server comes from.
#[derive(Debug)]
pub(super) enum Choice {
    /// A server binary.
    Binary(PathBuf),
    /// A server that runs already.
    Given(String),
    /// A container.
    Container,
}

impl Choice {
    pub(super) fn from_environment() -> Result<Self, String> {
        match env::var("ATOMIC_STREAMS_TEST_SERVER") {
            Ok(forced) => Self::forced(&forced),
            Err(_) => match binary_on_path() {
                Some(binary) => Ok(Self::Binary(binary)),
                None if cfg!(feature = "containers") => Ok(Self::Container),
                None => Err("there is no redis-server or valkey-server on the PATH: install one (`apt-get install \
                             redis-server`, `brew install valkey`), or run the tests with scripts/test, which does"
                    .into()),
            },
        }
    }

    fn forced(forced: &str) -> Result<Self, String> {
        if let Some(url) = forced.strip_prefix("url:") {
            return Ok(Self::Given(url.into()));
        }
        if forced == "container" {
            return Ok(Self::Container);
        }
        let binary = PathBuf::from(forced);
        if !binary.is_file() {
            return Err(format!("ATOMIC_STREAMS_TEST_SERVER names {forced}, and there is no such file"));
        }
        // Absolute, as the server is started in its data folder.
        binary.canonicalize().map(|_| Self::Binary(absolute(binary))).map_err(|e| format!("{forced}: {e}"))
    }
}

/// Not canonicalize: on Debian `redis-server` is a link, and the binary behind it looks at the name it is called by.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The server on the PATH, if there is one.
pub(crate) fn binary_on_path() -> Option<PathBuf> {
    on_path(&["redis-server", "valkey-server"])
}
