//! A server as a container, through testcontainers and, for what that cannot do, the `docker` command.

use std::env;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, test_kill_process};
use testcontainers::core::IntoContainerPort;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};

use super::local::DEFAULTS;
use super::ready::until_ready;
use crate::port::PortLease;

/// Its value names the machine and the process that the container belongs to.
const LABEL: &str = "atomic-streams-test";
const PORT: u16 = 6379;

/// Whether a Docker engine answers here.
pub fn container_engine_answers() -> bool {
    docker(&["version", "--format", "{{.Server.Version}}"]).is_ok()
}

#[derive(Debug)]
pub(super) struct Container {
    /// `None` only while it is being dropped.
    node: Option<Box<ContainerAsync<GenericImage>>>,
    lease: PortLease,
}

impl Container {
    pub(super) async fn start(
        image: Option<String>,
        args: &[String],
        port: Option<u16>,
        url: impl Fn(u16) -> String,
    ) -> Result<Self, String> {
        sweep();
        let image = image.or_else(|| env::var("ATOMIC_STREAMS_TEST_IMAGE").ok()).unwrap_or_else(|| "redis:7".into());
        // A colon before a slash belongs to a registry's port.
        let (name, tag) = match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (image.as_str(), "latest"),
        };
        // The image is at least 7.0, and a client outside is not local to a server inside.
        let reachable = ["--bind", "0.0.0.0", "--protected-mode", "no", "--enable-debug-command", "yes"];
        let all: Vec<String> =
            DEFAULTS.into_iter().chain(reachable).map(str::to_owned).chain(args.iter().cloned()).collect();
        let mut last = String::new();
        for _ in 0..5 {
            let lease = port.map_or_else(PortLease::free, PortLease::fixed);
            let started = GenericImage::new(name, tag)
                .with_cmd(all.clone())
                // A port of the engine's choice would be another one after each restart.
                .with_mapped_port(lease.port(), PORT.tcp())
                .with_label(LABEL, owner())
                .start()
                .await;
            match started {
                Ok(node) => {
                    let url = url(lease.port());
                    let container = Self { node: Some(Box::new(node)), lease };
                    return container.ready(&url).await.map(|()| container);
                }
                Err(e) => last = format!("no container of the image {image}: {e}"),
            }
            if !last.contains("port is already allocated") && !last.contains("address already in use") {
                break;
            }
        }
        Err(last)
    }

    pub(super) async fn restart(&self, url: &str) -> Result<(), String> {
        if self.is_alive() {
            self.kill();
        }
        self.docker(&["start"])?;
        self.ready(url).await
    }

    async fn ready(&self, url: &str) -> Result<(), String> {
        let still_starting = || match self.is_alive() {
            true => Ok(()),
            false => Err(format!("the container ended:\n{}", self.log())),
        };
        until_ready(url, None, still_starting).await
    }

    pub(super) fn port(&self) -> u16 {
        self.lease.port()
    }

    /// Where other containers find it.
    pub(super) fn address_inside(&self) -> (String, u16) {
        let address = self.docker(&["inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"]);
        (address.unwrap_or_else(|e| panic!("{e}")).trim().to_owned(), PORT)
    }

    /// Whether its server runs, paused or not.
    pub(super) fn is_alive(&self) -> bool {
        self.docker(&["inspect", "--format", "{{.State.Running}}"]).is_ok_and(|running| running.trim() == "true")
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    pub(super) fn signal(&self, signal: Signal) {
        let done = match signal {
            // The kernel ignores a SIGSTOP for the first process of a container.
            Signal::STOP => self.docker(&["pause"]),
            Signal::CONT => self.docker(&["unpause"]),
            Signal::KILL => self.docker(&["kill", "--signal", "KILL"]),
            _ => self.docker(&["kill", "--signal", "TERM"]),
        };
        done.unwrap_or_else(|e| panic!("{e}"));
    }

    pub(super) fn log(&self) -> String {
        self.docker(&["logs"]).unwrap_or_else(|e| e)
    }

    fn docker(&self, args: &[&str]) -> Result<String, String> {
        let id = self.node.as_ref().map(|node| node.id()).unwrap_or_default();
        docker(&[args, &[id]].concat())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The removal of testcontainers needs a runtime, and a test may drop its server after the runtime.
        if tokio::runtime::Handle::try_current().is_err() {
            let _ = self.docker(&["rm", "--force", "--volumes"]);
            std::mem::forget(self.node.take());
        }
    }
}

fn owner() -> String {
    format!("{} {}", rustix::system::uname().nodename().to_string_lossy(), std::process::id())
}

/// Removes the containers of test processes that were killed, once per process.
fn sweep() {
    static SWEPT: OnceLock<()> = OnceLock::new();
    SWEPT.get_or_init(|| {
        let filter = format!("label={LABEL}");
        let format = format!("{{{{.ID}}}} {{{{.Label \"{LABEL}\"}}}}");
        let Ok(list) = docker(&["ps", "--all", "--filter", &filter, "--format", &format]) else { return };
        let here = rustix::system::uname().nodename().to_string_lossy().into_owned();
        for line in list.lines() {
            let mut words = line.split_whitespace();
            let (Some(id), Some(host), Some(pid)) = (words.next(), words.next(), words.next()) else { continue };
            let pid = pid.parse().ok().and_then(Pid::from_raw);
            if host == here && pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH)) {
                let _ = docker(&["rm", "--force", "--volumes", id]);
            }
        }
    });
}

fn docker(args: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("the command docker did not run: {e}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("docker {} failed: {}", args.join(" "), errors.trim()));
    }
    // `docker logs` keeps the two apart.
    Ok(format!("{}{errors}", String::from_utf8_lossy(&output.stdout)))
}
