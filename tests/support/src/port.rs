//! Ports that no other test takes, even while their server is down.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};

use crate::rng::{Rng, arbitrary};

/// Below the ephemeral range of Linux and macOS: the kernel never hands these to an outgoing connection, so a server
/// that is killed gets its port back at the restart, and a client that reconnects meanwhile cannot meet itself.
const FIRST: u64 = 15_000;
const COUNT: u64 = 17_000;

/// A port, kept for this process while the lease lives.
#[derive(Debug)]
pub(crate) struct PortLease {
    port: u16,
    /// Locked. The kernel gives the lock up even when this process is killed.
    _lock: Option<File>,
}

impl PortLease {
    /// A port on which nothing listens and which no other lease holds.
    pub(crate) fn free() -> Self {
        let mut rng = Rng::new(arbitrary());
        for _ in 0..1_000 {
            let port = (FIRST + rng.below(COUNT)) as u16;
            let Some(lock) = try_lock(port) else { continue };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Self { port, _lock: Some(lock) };
            }
        }
        panic!("found no free port on 127.0.0.1");
    }

    /// This port, whoever else may use it.
    pub(crate) fn fixed(port: u16) -> Self {
        Self { port, _lock: None }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn try_lock(port: u16) -> Option<File> {
    let folder = folder();
    fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("cannot make the folder {}: {e}", folder.display()));
    let path = folder.join(port.to_string());
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.unwrap_or_else(|e| panic!("cannot open {}: {e}", path.display()));
    flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file)
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("atomic-streams-test-ports-{}", rustix::process::getuid().as_raw()))
}
