//! A server for an example, so that it runs with nothing set up.

use std::env;

use crate::server::{Server, binary_on_path};

/// What an example without a server tells its reader.
pub const HOW_TO_GET_A_SERVER: &str =
    "to run it on a server: apt install redis-server, or brew install valkey, or set REDIS_URL";

/// The server an example runs on. One that was started for it is killed on drop.
#[derive(Debug)]
pub struct ExampleServer {
    url: String,
    _started: Option<Server>,
}

impl ExampleServer {
    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The server of an example: the one at `REDIS_URL`; else a `redis-server` or `valkey-server` from the PATH, started
/// on a free port; else none, and the example uses the in-memory store. Says on standard error which it is.
pub async fn example_server() -> Option<ExampleServer> {
    if let Ok(url) = env::var("REDIS_URL") {
        return Some(ExampleServer { url, _started: None });
    }
    let Some(binary) = binary_on_path() else {
        eprintln!("no server found, this runs on the in-memory store; {HOW_TO_GET_A_SERVER}");
        return None;
    };
    let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match Server::builder().binary(binary).append_only("everysec").try_start().await {
        Ok(server) => {
            eprintln!("started {name} on port {} for this example (set REDIS_URL to use your own)", server.port());
            Some(ExampleServer { url: server.url().to_owned(), _started: Some(server) })
        }
        Err(e) => {
            eprintln!("{name} did not start, this runs on the in-memory store; {e}");
            None
        }
    }
}
