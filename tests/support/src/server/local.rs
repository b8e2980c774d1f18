//! A server as a child process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Signal;

use super::folder::{DataFolder, Files};
use super::ready::until_ready;
use super::version::Version;
use crate::child::{TiedChild, tied_command};
use crate::port::PortLease;

/// What every server is started with, before the test's own options. Replicas are served at once rather than after
/// the usual 5 s of waiting for more of them.
pub(super) const DEFAULTS: [&str; 8] =
    ["--save", "", "--appendonly", "no", "--daemonize", "no", "--repl-diskless-sync-delay", "0"];

/// Fields drop in this order: the process ends before its folder goes and its port is given up.
#[derive(Debug)]
pub(super) struct Local {
    process: Mutex<Arc<TiedChild>>,
    binary: PathBuf,
    args: Vec<String>,
    folder: DataFolder,
    lease: PortLease,
}

impl Local {
    pub(super) async fn start(
        binary: PathBuf,
        args: &[String],
        data: &Files,
        port: Option<u16>,
        url: impl Fn(u16) -> String,
    ) -> Result<Self, String> {
        let Some(version) = Version::of_binary(&binary) else {
            return Err(format!("{} is not a Redis or Valkey server", binary.display()));
        };
        let debug = version.has_debug_option().then_some(["--enable-debug-command", "local"]);
        let all: Vec<String> = DEFAULTS
            .into_iter()
            .chain(debug.into_iter().flatten())
            .map(str::to_owned)
            .chain(args.iter().cloned())
            .collect();
        // The lease keeps other tests away, but not strangers: one may have taken the port since it was tried.
        for _ in 0..20 {
            let lease = port.map_or_else(PortLease::free, PortLease::fixed);
            let folder = DataFolder::new()?;
            data.write(folder.path()).map_err(|e| format!("cannot copy the server's data: {e}"))?;
            let process = Mutex::new(Arc::new(launch(&binary, &all, &folder, lease.port())?));
            let local = Self { process, binary: binary.clone(), args: all.clone(), folder, lease };
            match local.ready(&url(local.port())).await {
                Err(reason) if port.is_none() && reason.contains("Address already in use") => {}
                outcome => return outcome.map(|()| local),
            }
        }
        Err("found no port for the server".into())
    }

    pub(super) async fn restart(&self, url: &str) -> Result<(), String> {
        self.kill();
        let process = launch(&self.binary, &self.args, &self.folder, self.port())?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(process);
        self.ready(url).await
    }

    async fn ready(&self, url: &str) -> Result<(), String> {
        let process = self.process();
        let still_starting = || match process.ended() {
            Some(status) => Err(format!("the server ended with {status}:\n{}", self.log())),
            None => Ok(()),
        };
        let ready = until_ready(url, Some(process.pid()), still_starting).await;
        ready.map_err(|e| if e.contains("the server ended") { e } else { format!("{e}\n{}", self.log()) })
    }

    pub(super) fn port(&self) -> u16 {
        self.lease.port()
    }

    pub(super) fn pid(&self) -> u32 {
        self.process().pid()
    }

    pub(super) fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn is_alive(&self) -> bool {
        self.process().ended().is_none()
    }

    pub(super) fn kill(&self) {
        self.process().kill();
    }

    pub(super) fn signal(&self, signal: Signal) {
        let process = self.process();
        let delivered = if signal == Signal::STOP { process.pause() } else { process.signal(signal) };
        assert!(delivered, "the server has ended:\n{}", self.log());
    }

    pub(super) fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn process(&self) -> Arc<TiedChild> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(super) const LOG: &str = "server.log";

fn launch(binary: &Path, args: &[String], folder: &DataFolder, port: u16) -> Result<TiedChild, String> {
    let failed = |e| format!("{} did not start: {e}", binary.display());
    // Its output rather than --logfile: the reason why a server refuses to start goes to its standard error.
    let log = File::options().create(true).append(true).open(folder.path().join(LOG)).map_err(failed)?;
    let errors = log.try_clone().map_err(failed)?;
    let mut command: Command = tied_command(binary);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"]).arg(folder.path());
    command.args(args).current_dir(folder.path()).stdout(log).stderr(errors);
    TiedChild::spawn(command).map_err(failed)
}
