//! The worker processes: two for each subscription, an owner and a standby, each behind a proxy of its own.

use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::{Process, Proxy, Server};
use tokio::sync::Mutex;

use crate::sabotage::Sabotage;
use crate::subscriptions::{ALL, LEDGER, Subscription};
use crate::worker::{DENIED, FENCED};

/// The user as whom workers connect, so that their rights can be withdrawn.
pub const USER: &str = "worker";
pub const PASSWORD: &str = "secret";

/// A worker that is asked to end and has not within this time hangs.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Worker {
    pub name: String,
    pub proxy: Proxy,
    subscription: &'static Subscription,
    sabotage: Option<Sabotage>,
    running: Mutex<Running>,
    fenced: AtomicU64,
}

#[derive(Debug)]
pub struct Running {
    process: Process,
    since: Instant,
    /// It has been asked to end.
    ends: bool,
}

impl Worker {
    /// All of them, started.
    pub async fn crew(server: &Server, sabotage: Option<Sabotage>) -> Vec<Self> {
        let mut crew = Vec::new();
        for subscription in ALL {
            for place in 1..=2 {
                let name = format!("{}-{place}", subscription.group);
                let proxy = Proxy::start(server.addr()).await;
                let sabotage = sabotage.filter(|_| subscription.group == LEDGER.group);
                let running = Mutex::new(start(subscription, &name, &proxy, sabotage));
                crew.push(Self { name, proxy, subscription, sabotage, running, fenced: AtomicU64::new(0) });
            }
        }
        crew
    }

    /// The process, which nobody else touches meanwhile. It may have ended by itself.
    pub async fn hold(&self) -> Held<'_> {
        Held { worker: self, running: self.running.lock().await }
    }

    /// Starts it again if it has ended because its rights were withdrawn. Any other end by itself is an error.
    pub async fn look_after(&self, denied: Option<Instant>) -> Result<(), String> {
        // Whoever holds it does something to it.
        let Ok(running) = self.running.try_lock() else { return Ok(()) };
        let mut held = Held { worker: self, running };
        if held.running.ends || held.running.process.is_alive() {
            return Ok(());
        }
        let status = held.running.process.wait().await;
        let was_denied = denied.is_some_and(|until| until > held.running.since);
        if status.code() == Some(DENIED.into()) && was_denied {
            held.start_again();
            return Ok(());
        }
        Err(format!("{} ended by itself with {status}; it said:\n{}", self.name, held.running.process.output()))
    }

    /// How often it was found to have lost its subscription to another.
    pub async fn fenced(&self) -> u64 {
        self.fenced.load(Ordering::Relaxed) + fencings(&self.running.lock().await.process)
    }

    /// What the present process has said.
    pub async fn output(&self) -> String {
        self.running.lock().await.process.output()
    }
}

/// A worker's process in one hand.
#[derive(Debug)]
pub struct Held<'a> {
    worker: &'a Worker,
    running: tokio::sync::MutexGuard<'a, Running>,
}

impl Held<'_> {
    pub fn kill(&self) {
        self.running.process.kill();
    }

    /// False if it has ended already.
    pub fn pause(&self) -> bool {
        let alive = self.running.process.is_alive();
        if alive {
            self.running.process.pause();
        }
        alive
    }

    pub fn resume(&self) {
        self.running.process.resume();
    }

    /// SIGTERM, and waits for the end. `None` if it had ended already.
    pub async fn shut_down(&mut self) -> Result<Option<ExitStatus>, String> {
        self.running.ends = true;
        let process = &self.running.process;
        if !process.is_alive() {
            return Ok(None);
        }
        process.terminate();
        let begin = Instant::now();
        while process.is_alive() {
            if begin.elapsed() > ENDS_WITHIN {
                let (name, output) = (&self.worker.name, process.output());
                return Err(format!("{name} goes on {ENDS_WITHIN:?} after SIGTERM; it said:\n{output}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Some(process.wait().await))
    }

    pub fn output(&self) -> String {
        self.running.process.output()
    }

    pub fn start_again(&mut self) {
        let Worker { name, proxy, subscription, sabotage, fenced, .. } = self.worker;
        fenced.fetch_add(fencings(&self.running.process), Ordering::Relaxed);
        *self.running = start(subscription, name, proxy, *sabotage);
    }
}

fn start(subscription: &Subscription, name: &str, proxy: &Proxy, sabotage: Option<Sabotage>) -> Running {
    let binary = std::env::current_exe().expect("the path of this binary");
    let url = format!("redis://{USER}:{PASSWORD}@{}/", proxy.addr());
    let mut builder = Process::binary(binary).args(["--worker", subscription.group, "--name", name, "--url", &url]);
    if let Some(sabotage) = sabotage {
        builder = builder.args(["--sabotage", sabotage.name()]);
    }
    Running { process: builder.start(), since: Instant::now(), ends: false }
}

fn fencings(process: &Process) -> u64 {
    process.lines().iter().filter(|line| line.starts_with(FENCED)).count() as u64
}
