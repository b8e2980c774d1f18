//! A real server of the test's own.

mod builder;
mod choice;
#[cfg(feature = "containers")]
mod container;
mod folder;
mod local;
mod ready;
mod sentinels;
mod version;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use rustix::process::Signal;

pub use builder::ServerBuilder;
pub(crate) use choice::binary_on_path;
pub use sentinels::{SentinelSettings, Sentinels};
pub use version::{Product, Version};

#[cfg(feature = "containers")]
use container::Container;
#[cfg(feature = "containers")]
pub use container::container_engine_answers;
use local::Local;

use crate::port::PortLease;
use crate::wait::Patience;

/// A Redis or Valkey server that listens on 127.0.0.1, for one test. It is killed and its data removed on drop.
///
/// The variable `ATOMIC_STREAMS_TEST_SERVER` says which: the path of a server binary; `url:redis://…`, a server
/// that runs already, is shared by all tests and can be neither killed nor configured; or `container`. Without it:
/// a `redis-server` or `valkey-server` on the PATH, else a container of the image `ATOMIC_STREAMS_TEST_IMAGE`
/// (default `redis:7`) if this crate has its feature `containers`.
///
/// What fails here, fails the test: the methods panic with a sentence that says why.
#[derive(Debug)]
pub struct Server {
    backend: Backend,
    url: String,
    addr: SocketAddr,
    tls: Option<PortLease>,
    bus: Option<PortLease>,
}

#[derive(Debug)]
enum Backend {
    Local(Local),
    #[cfg(feature = "containers")]
    Container(Container),
    Given,
}

impl Server {
    /// Starts a server with the defaults of [`ServerBuilder`].
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A server yet to be configured and started.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Its address for a client: `redis://127.0.0.1:PORT/`, with the password if it has one.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port it listens on. It keeps it through restarts.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// The port it listens on for TLS.
    pub fn tls_port(&self) -> u16 {
        self.tls.as_ref().expect("a server with TLS").port()
    }

    /// The port by which other nodes of its cluster reach it.
    pub fn bus_port(&self) -> u16 {
        self.bus.as_ref().expect("a node of a cluster").port()
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::open(self.url.as_str()).expect("the URL of a test server")
    }

    /// A new connection, which waits for its replies as long as they take.
    pub async fn connection(&self) -> MultiplexedConnection {
        connect(&self.client()).await.unwrap_or_else(|e| panic!("no connection to {}: {e}", self.url))
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        match &self.backend {
            Backend::Local(local) => local.pid(),
            _ => self.cannot("tell its process id"),
        }
    }

    /// The folder of its data files. It stays until the server is dropped.
    pub fn data_dir(&self) -> &Path {
        match &self.backend {
            Backend::Local(local) => local.data_dir(),
            _ => self.cannot("show its data folder"),
        }
    }

    /// SIGKILL: it ends at once, with whatever it had not written to its files lost. Its data folder stays.
    pub fn kill(&self) {
        match &self.backend {
            Backend::Local(local) => local.kill(),
            #[cfg(feature = "containers")]
            Backend::Container(container) => container.kill(),
            Backend::Given => self.cannot("be killed"),
        }
    }

    /// Ends it cleanly, with its data saved, and waits until it has ended.
    pub async fn stop(&self) {
        if let Backend::Given = self.backend {
            self.cannot("be stopped");
        }
        // The answer is the end of the connection; a server that refuses is asked by the signal below.
        if let Ok(mut connection) = connect(&self.client()).await {
            let _: redis::RedisResult<()> = redis::cmd("SHUTDOWN").arg("SAVE").query_async(&mut connection).await;
        }
        if self.ends_within(Duration::from_secs(5)).await {
            return;
        }
        self.signal(Signal::TERM, "be stopped");
        assert!(self.ends_within(Duration::from_secs(15)).await, "the server did not shut down:\n{}", self.log());
    }

    /// Waits until its process has ended by itself.
    pub async fn ended(&self) {
        assert!(self.ends_within(Duration::from_secs(20)).await, "the server goes on:\n{}", self.log());
    }

    async fn ends_within(&self, limit: Duration) -> bool {
        let patience = Patience::new(limit);
        while self.is_alive() {
            if !patience.lasts().await {
                return false;
            }
        }
        true
    }

    /// Starts it again on the same port and the same data folder, after a SIGKILL if it still runs.
    pub async fn restart(&self) {
        let started = match &self.backend {
            Backend::Local(local) => local.restart(&self.url).await,
            #[cfg(feature = "containers")]
            Backend::Container(container) => container.restart(&self.url).await,
            Backend::Given => self.cannot("be restarted"),
        };
        started.unwrap_or_else(|e| panic!("the server did not start again: {e}"));
    }

    /// SIGSTOP: it answers nothing, while the kernel still accepts connections and bytes for it. Returns once the
    /// process has stopped.
    pub fn pause(&self) {
        self.signal(Signal::STOP, "be paused");
    }

    /// SIGCONT: it goes on, with everything that arrived meanwhile.
    pub fn resume(&self) {
        self.signal(Signal::CONT, "be resumed");
    }

    /// Whether its process exists; a paused one does.
    pub fn is_alive(&self) -> bool {
        match &self.backend {
            Backend::Local(local) => local.is_alive(),
            #[cfg(feature = "containers")]
            Backend::Container(container) => container.is_alive(),
            Backend::Given => true,
        }
    }

    /// Which server it says it is.
    pub async fn version(&self) -> Version {
        let info = info(&self.client(), "server").await.unwrap_or_else(|e| panic!("no INFO from {}: {e}", self.url));
        Version::from_info(&info).unwrap_or_else(|| panic!("no version in this INFO:\n{info}"))
    }

    /// What it has written to its log, over all its restarts.
    pub fn log(&self) -> String {
        match &self.backend {
            Backend::Local(local) => local.log(),
            #[cfg(feature = "containers")]
            Backend::Container(container) => container.log(),
            Backend::Given => format!("(the server at {} keeps its log to itself)", self.url),
        }
    }

    /// For a replica: waits until the link to its primary is up and it has the primary's data.
    pub async fn linked(&self) {
        let (client, patience) = (self.client(), Patience::new(Duration::from_secs(20)));
        while !info(&client, "replication").await.is_ok_and(|info| info.contains("master_link_status:up")) {
            assert!(patience.lasts().await, "the replica found no link to its primary:\n{}", self.log());
        }
    }

    /// Whether this server is the test's own, so that it can be killed, paused and restarted.
    pub fn is_own(&self) -> bool {
        !matches!(self.backend, Backend::Given)
    }

    fn signal(&self, signal: Signal, deed: &str) {
        match &self.backend {
            Backend::Local(local) => local.signal(signal),
            #[cfg(feature = "containers")]
            Backend::Container(container) => container.signal(signal),
            Backend::Given => self.cannot(deed),
        }
    }

    fn cannot(&self, deed: &str) -> ! {
        panic!(
            "the server at {} is not of the kind that can {deed}: run this test with ATOMIC_STREAMS_TEST_SERVER unset \
             or set to the path of a server binary",
            self.url
        )
    }
}

/// A connection that waits for its replies as long as they take.
pub(crate) async fn connect(client: &Client) -> redis::RedisResult<MultiplexedConnection> {
    let patient =
        AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(Some(Duration::from_secs(10)));
    client.get_multiplexed_async_connection_with_config(&patient).await
}

async fn info(client: &Client, section: &str) -> redis::RedisResult<String> {
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(Duration::from_secs(2)))
        .set_connection_timeout(Some(Duration::from_secs(2)));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    redis::cmd("INFO").arg(section).query_async(&mut connection).await
}
