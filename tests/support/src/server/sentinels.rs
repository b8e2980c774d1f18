//! Sentinels, which promote a replica when its primary fails.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use redis::Client;

use super::choice::Choice;
use super::folder::DataFolder;
use super::local::LOG;
use super::ready::until_ready;
use super::{Server, connect};
use crate::child::{TiedChild, tied_command};
use crate::port::PortLease;
use crate::wait::Patience;

/// How sentinels are to watch.
#[derive(Debug, Clone, Copy)]
pub struct SentinelSettings<'a> {
    /// How many there are; a majority of them must agree.
    pub count: usize,
    /// After how long without an answer they take the primary for failed.
    pub down_after_ms: u64,
    /// The password of the watched servers.
    pub password: Option<&'a str>,
    /// The password that the sentinels ask for themselves.
    pub own_password: Option<&'a str>,
}

impl Default for SentinelSettings<'_> {
    fn default() -> Self {
        Self { count: 3, down_after_ms: 500, password: None, own_password: None }
    }
}

/// Sentinels that watch one primary and its replicas. They are killed on drop.
#[derive(Debug)]
pub struct Sentinels {
    name: String,
    own_password: Option<String>,
    running: Vec<Sentinel>,
}

/// Fields drop in this order.
#[derive(Debug)]
struct Sentinel {
    process: TiedChild,
    folder: DataFolder,
    lease: PortLease,
}

impl Sentinels {
    /// Starts sentinels for the primary under this name, and waits until all know of each other and of so many replicas.
    pub async fn watch(primary: &Server, replicas: usize, name: &str, settings: SentinelSettings<'_>) -> Self {
        let binary = match Choice::from_environment() {
            Ok(Choice::Binary(binary)) => binary,
            _ => primary.cannot("be watched by sentinels"),
        };
        let running = (0..settings.count).map(|_| {
            let started = start(&binary, primary.port(), name, settings);
            started.unwrap_or_else(|e| panic!("no sentinel for this test: {e}"))
        });
        let own_password = settings.own_password.map(str::to_owned);
        let sentinels = Self { name: name.to_owned(), own_password, running: running.collect() };
        let patience = Patience::new(Duration::from_secs(20));
        for (sentinel, url) in sentinels.running.iter().zip(sentinels.urls()) {
            let alive = || match sentinel.process.ended() {
                Some(status) => Err(format!("the server ended with {status}:\n{}", sentinel.log())),
                None => Ok(()),
            };
            let ready = until_ready(&url, Some(sentinel.process.pid()), alive).await;
            ready.unwrap_or_else(|e| panic!("no sentinel for this test: {e}"));
            while sentinels.known_to(&url).await != Some((replicas, settings.count - 1)) {
                assert!(patience.lasts().await, "a sentinel does not find the others:\n{}", sentinel.log());
            }
        }
        sentinels
    }

    /// Their addresses for a client, with their password if they have one.
    pub fn urls(&self) -> Vec<String> {
        let password = self.own_password.as_ref().map_or(String::new(), |password| format!(":{password}@"));
        self.running.iter().map(|sentinel| format!("redis://{password}127.0.0.1:{}", sentinel.lease.port())).collect()
    }

    /// Their hosts and ports, separated by commas.
    pub fn hosts(&self) -> String {
        let hosts: Vec<String> =
            self.running.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.lease.port())).collect();
        hosts.join(",")
    }

    /// Waits until all of them say that this server is the primary.
    pub async fn agree_on(&self, server: &Server) {
        let patience = Patience::new(Duration::from_secs(30));
        for (sentinel, url) in self.running.iter().zip(self.urls()) {
            while self.primary_of(&url).await != Some(server.port()) {
                assert!(patience.lasts().await, "the sentinels do not promote this server:\n{}", sentinel.log());
            }
        }
    }

    /// SIGSTOP for one of them.
    pub fn pause(&self, at: usize) {
        assert!(self.running[at].process.pause(), "the sentinel has ended:\n{}", self.running[at].log());
    }

    async fn primary_of(&self, url: &str) -> Option<u16> {
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        let (_, port): (String, u16) = ask(url, &command).await?;
        Some(port)
    }

    /// How many replicas and other sentinels one of them knows.
    async fn known_to(&self, url: &str) -> Option<(usize, usize)> {
        let count = async |what: &str| {
            let mut command = redis::cmd("SENTINEL");
            command.arg(what).arg(&self.name);
            ask::<Vec<redis::Value>>(url, &command).await.map(|known| known.len())
        };
        Some((count("REPLICAS").await?, count("SENTINELS").await?))
    }
}

async fn ask<T: redis::FromRedisValue>(url: &str, command: &redis::Cmd) -> Option<T> {
    let mut connection = connect(&Client::open(url).ok()?).await.ok()?;
    command.query_async(&mut connection).await.ok()
}

impl Sentinel {
    fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn start(binary: &Path, primary: u16, name: &str, settings: SentinelSettings<'_>) -> Result<Sentinel, String> {
    let failed = |e| format!("{} did not start: {e}", binary.display());
    let (lease, folder) = (PortLease::free(), DataFolder::new()?);
    let mut configuration = format!(
        "port {}\nbind 127.0.0.1\nsentinel monitor {name} 127.0.0.1 {primary} {}\n\
         sentinel down-after-milliseconds {name} {}\nsentinel failover-timeout {name} 5000\n",
        lease.port(),
        settings.count / 2 + 1,
        settings.down_after_ms
    );
    if let Some(password) = settings.password {
        configuration += &format!("sentinel auth-pass {name} {password}\n");
    }
    if let Some(password) = settings.own_password {
        configuration += &format!("requirepass {password}\nsentinel sentinel-pass {password}\n");
    }
    // A sentinel keeps what it learns in the file that it is started with.
    let file = folder.path().join("sentinel.conf");
    fs::write(&file, configuration).map_err(failed)?;
    let log = File::options().create(true).append(true).open(folder.path().join(LOG)).map_err(failed)?;
    let errors = log.try_clone().map_err(failed)?;
    let mut command = tied_command(binary);
    command.arg(&file).arg("--sentinel").current_dir(folder.path()).stdout(log).stderr(errors);
    let process = TiedChild::spawn(command).map_err(failed)?;
    Ok(Sentinel { process, folder, lease })
}
