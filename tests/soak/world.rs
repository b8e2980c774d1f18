//! Everything that runs, for the faults to be done to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use support::{Fault, Server, ServerBuilder};
use tokio::sync::{Mutex, RwLock, watch};

use crate::arguments::Options;
use crate::checker::Checker;
use crate::clock::Clock;
use crate::connect::connect;
use crate::crew::{PASSWORD, USER, Worker};
use crate::schedule::{Kind, Planned};

#[derive(Debug)]
pub struct World {
    pub options: Options,
    pub begin: Instant,
    /// The server that goes on; a failover puts another here.
    pub primary: RwLock<Arc<Server>>,
    pub url: watch::Sender<String>,
    pub crew: Vec<Worker>,
    /// Locked by a fault for as long as nobody can say what the server will have.
    pub checker: Mutex<Checker>,
    /// Faults of the server come one after the other.
    pub server_fault: Mutex<()>,
    pub clock: Result<Clock, String>,
    /// Until when rights were withdrawn.
    pub denied: StdMutex<Option<Instant>>,
    pub done: StdMutex<Vec<(f64, Planned)>>,
    /// Kinds that this machine cannot do, and why.
    pub impossible: StdMutex<BTreeMap<Kind, String>>,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn start(options: Options) -> Self {
        let folder = tempfile::Builder::new().prefix("atomic-streams-soak-").tempdir().expect("a folder for the soak");
        let clock = match server_binary(&options) {
            Some(binary) => Clock::new(folder.path(), &binary),
            None => Err("the server is not started from a file".into()),
        };
        let server = builder(&options, &clock).start().await;
        let crew = Worker::crew(&server, options.sabotage).await;
        Self {
            begin: Instant::now(),
            url: watch::Sender::new(server.url().to_owned()),
            primary: RwLock::new(Arc::new(server)),
            crew,
            checker: Mutex::new(Checker::new()),
            server_fault: Mutex::new(()),
            clock,
            denied: StdMutex::new(None),
            done: StdMutex::default(),
            impossible: StdMutex::default(),
            _folder: folder,
            options,
        }
    }

    /// A server like the first, yet to be started.
    pub fn server(&self) -> ServerBuilder {
        builder(&self.options, &self.clock)
    }

    pub async fn primary(&self) -> Arc<Server> {
        self.primary.read().await.clone()
    }

    /// A new connection to the present server, past the proxies.
    pub async fn redis(&self) -> redis::RedisResult<MultiplexedConnection> {
        let url = self.url.borrow().clone();
        connect(&url).await
    }

    /// Sets the fault of all proxies.
    pub fn all_proxies(&self, fault: Fault) {
        self.crew.iter().for_each(|worker| worker.proxy.set(fault));
    }

    pub fn seconds(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    pub fn note(&self, planned: &Planned) {
        self.done.lock().expect("no panic while it is held").push((self.seconds(), planned.clone()));
    }

    /// Takes it back from the list: it was not done.
    pub fn cannot(&self, kind: Kind, why: &str) {
        self.done.lock().expect("no panic while it is held").retain(|(_, planned)| planned.kind != kind);
        self.impossible.lock().expect("no panic while it is held").insert(kind, why.to_owned());
    }

    /// A worker that was started before this moment may end because its rights were withdrawn.
    pub fn denied_until(&self, moment: Instant) {
        *self.denied.lock().expect("no panic while it is held") = Some(moment);
    }
}

/// On disk every second, and the file never much larger than what is in it: it is loaded at each restart.
fn builder(options: &Options, clock: &Result<Clock, String>) -> ServerBuilder {
    let mut builder = Server::builder().append_only("everysec");
    builder = builder.arg("--auto-aof-rewrite-min-size", "32mb").arg("--auto-aof-rewrite-percentage", "100");
    builder = builder.arg("--user", USER).arg("on", &format!(">{PASSWORD}")).arg("~*", "&*").arg("+@all", "+@all");
    match (clock, &options.server) {
        (Ok(clock), _) => builder.binary(clock.binary()),
        (Err(_), Some(path)) => builder.binary(path),
        (Err(_), None) => builder,
    }
}

/// The file that the server is started from, if it is one.
fn server_binary(options: &Options) -> Option<PathBuf> {
    let named = std::env::var_os("ATOMIC_STREAMS_TEST_SERVER").map(PathBuf::from);
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let names = ["redis-server", "valkey-server"];
        names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()))
    };
    match options.server.clone().or(named) {
        Some(path) => std::path::absolute(path).ok().filter(|path| path.is_file()),
        None => on_path(),
    }
}
