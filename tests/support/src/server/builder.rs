//! The configuration of a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::choice::Choice;
use super::folder::Files;
use super::local::Local;
use super::ready::until_ready;
use super::{Backend, Server};
use crate::port::PortLease;

/// A server yet to be started. By default it saves nothing to disk: what it has dies with its process.
#[derive(Debug, Default)]
pub struct ServerBuilder {
    args: Vec<String>,
    port: Option<u16>,
    password: Option<String>,
    primary: Option<Primary>,
    choice: Option<Choice>,
    data: Files,
    tls: Option<PortLease>,
    bus: Option<PortLease>,
    #[cfg_attr(not(feature = "containers"), expect(dead_code, reason = "only a container has an image"))]
    image: Option<String>,
}

/// Where a replica finds its primary.
#[derive(Debug)]
struct Primary {
    host: String,
    port: u16,
}

impl ServerBuilder {
    /// Sets an option of the server's configuration: `.arg("--maxmemory", "50mb")`.
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.args.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Switches the append-only file on, written to disk `everysec` or `always`, so that the data survive
    /// [`Server::kill`].
    pub fn append_only(self, fsync: &str) -> Self {
        self.arg("--appendonly", "yes").arg("--appendfsync", fsync)
    }

    /// Begins with a copy of the files in another server's [data folder](Server::data_dir), as they are at this call.
    /// That server must not be writing them: it has been killed, or has nothing to do.
    pub fn data_from(mut self, folder: &Path) -> Self {
        let read = Files::read(folder);
        self.data = read.unwrap_or_else(|e| panic!("no data for the server from {}: {e}", folder.display()));
        self
    }

    /// Makes it a replica. [`start`](Self::start) then waits for the link to `primary`.
    pub fn replica_of(mut self, primary: &Server) -> Self {
        let (host, port) = match &primary.backend {
            #[cfg(feature = "containers")]
            Backend::Container(container) => container.address_inside(),
            _ => (primary.addr.ip().to_string(), primary.port()),
        };
        self.primary = Some(Primary { host, port });
        self
    }

    /// Listens on a [port](Server::tls_port) for TLS as well, with these PEM files: its certificate, the key to it, and the
    /// authorities of the certificates that it asks its clients for, if it does.
    pub fn tls(mut self, certificate: &Path, key: &Path, authorities: &Path, asks_clients: bool) -> Self {
        let lease = PortLease::free();
        let port = lease.port().to_string();
        self.tls = Some(lease);
        let text = |path: &Path| path.to_str().expect("the path of a PEM file").to_owned();
        self.arg("--tls-port", &port)
            .arg("--tls-cert-file", &text(certificate))
            .arg("--tls-key-file", &text(key))
            .arg("--tls-ca-cert-file", &text(authorities))
            .arg("--tls-auth-clients", if asks_clients { "yes" } else { "no" })
    }

    /// Makes it a node of a cluster, without slots and without others.
    pub fn cluster_node(mut self) -> Self {
        let lease = PortLease::free();
        let port = lease.port().to_string();
        self.bus = Some(lease);
        self.arg("--cluster-enabled", "yes").arg("--cluster-port", &port).arg("--cluster-node-timeout", "2000")
    }

    /// Listens on this port rather than on one that is free.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Asks its clients for a password; [`Server::url`] has it.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.arg("--requirepass", password).arg("--masterauth", password)
    }

    /// Runs this server binary, whatever the environment says.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.choice = Some(Choice::Binary(path.into()));
        self
    }

    /// Runs a container of this image, whatever the environment says.
    #[cfg(feature = "containers")]
    pub fn container(mut self, image: &str) -> Self {
        self.choice = Some(Choice::Container);
        self.image = Some(image.to_owned());
        self
    }

    /// Starts the server and waits until it answers.
    pub async fn start(self) -> Server {
        self.try_start().await.unwrap_or_else(|e| panic!("no server for this test: {e}"))
    }

    /// Starts a server that is to listen for TLS; `None`, and a line that says so, if `ATOMIC_STREAMS_TEST_SERVER` names one that
    /// was built without it.
    pub async fn start_with_tls(self) -> Option<Server> {
        match self.try_start().await {
            Ok(server) => Some(server),
            Err(error) => {
                let chosen = std::env::var("ATOMIC_STREAMS_TEST_SERVER");
                // In the words of Redis 7.2 and later, and of those before.
                let without = error.contains("Failed finding TLS support")
                    || error.contains("Bad directive") && error.contains("tls-port");
                let (Ok(chosen), true) = (chosen, without) else { panic!("no server for this test: {error}") };
                eprintln!("left out: {chosen} is built without TLS; Debian's redis-server is built with it");
                None
            }
        }
    }

    pub(crate) async fn try_start(mut self) -> Result<Server, String> {
        let choice = match self.choice.take() {
            Some(choice) => choice,
            None => Choice::from_environment()?,
        };
        if let Some(Primary { host, port }) = &self.primary {
            self.args.extend(["--replicaof".into(), host.clone(), port.to_string()]);
        }
        let (tls, bus) = (self.tls.take(), self.bus.take());
        let mut server = match choice {
            Choice::Binary(binary) => {
                let url = |port| self.url(port);
                let local = Local::start(binary, &self.args, &self.data, self.port, url).await?;
                let port = local.port();
                self.server(Backend::Local(local), port)
            }
            #[cfg(feature = "containers")]
            Choice::Container if !self.data.is_empty() => {
                return Err("this test brings data files, and those of a container are out of its reach: run it with \
                            ATOMIC_STREAMS_TEST_SERVER set to the path of a server binary"
                    .into());
            }
            #[cfg(feature = "containers")]
            Choice::Container => {
                let url = |port| self.url(port);
                let started = super::Container::start(self.image.clone(), &self.args, self.port, url).await;
                let container =
                    started.map_err(|e| format!("{e}\n(a redis-server or valkey-server on the PATH does as well)"))?;
                let port = container.port();
                self.server(Backend::Container(container), port)
            }
            #[cfg(not(feature = "containers"))]
            Choice::Container => return Err("containers need the feature `containers`".into()),
            Choice::Given(url) => self.given(url).await?,
        };
        (server.tls, server.bus) = (tls, bus);
        if self.primary.is_some() {
            server.linked().await;
        }
        Ok(server)
    }

    fn url(&self, port: u16) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{port}/"),
            None => format!("redis://127.0.0.1:{port}/"),
        }
    }

    fn server(&self, backend: Backend, port: u16) -> Server {
        Server {
            backend,
            url: self.url(port),
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            tls: None,
            bus: None,
        }
    }

    async fn given(&self, url: String) -> Result<Server, String> {
        if !self.args.is_empty() || self.port.is_some() || !self.data.is_empty() {
            return Err(format!(
                "this test configures its server, and the one at {url} is given: run it with \
                 ATOMIC_STREAMS_TEST_SERVER unset or set to the path of a server binary"
            ));
        }
        until_ready(&url, None, || Ok(())).await?;
        let client = redis::Client::open(url.as_str()).map_err(|e| e.to_string())?;
        let redis::ConnectionAddr::Tcp(host, port) = client.get_connection_info().addr().clone() else {
            return Err(format!("{url} is not reached by plain TCP"));
        };
        let mut addresses = tokio::net::lookup_host((host, port)).await.map_err(|e| format!("{url}: {e}"))?;
        let addr = addresses.next().ok_or_else(|| format!("{url} has no address"))?;
        Ok(Server { backend: Backend::Given, url, addr, tls: None, bus: None })
    }
}
