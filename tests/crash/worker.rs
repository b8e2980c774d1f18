//! A consumer that stops where a test wants it: this test binary, started once more as a process of its own.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use atomic_streams::{Consumer, Handler, HandlerError, HandlerResult, OnFailure, Persistable, Transaction};
use serde::{Deserialize, Serialize};
use support::{Process, ProcessBuilder};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::ledger::{ALERT_AT, ALERTS, GROUP, INITIAL_STOCK, SALES};

const URL: &str = "CRASH_WORKER_URL";
const LEASE_MS: &str = "CRASH_WORKER_LEASE_MS";
const MAX_IN_FLIGHT: &str = "CRASH_WORKER_MAX_IN_FLIGHT";
const COALESCES: &str = "CRASH_WORKER_COALESCES";
const STOPS_IN: &str = "CRASH_WORKER_STOPS_IN";
const GOES_ON_WITH: &str = "CRASH_WORKER_GOES_ON_WITH";
const ABORTS_IN: &str = "CRASH_WORKER_ABORTS_IN";
const FAILS_IN: &str = "CRASH_WORKER_FAILS_IN";
const GIVES_UP: &str = "CRASH_WORKER_GIVES_UP";

const PARKS_BY: &str = "CRASH_WORKER_PARKS_BY";
const REFUSES: &str = "CRASH_WORKER_REFUSES";

/// Where its dead letters go.
pub const DEAD: &str = "sales:dead";

/// A worker yet to be started. Says on standard error what it does.
pub struct Worker(ProcessBuilder);

impl Worker {
    /// On the same subscription as the example, with the same state.
    pub fn on(url: &str, lease_ms: u64) -> Self {
        let test = std::env::current_exe().unwrap();
        let builder = Process::binary(test).args(["--exact", "worker::is_a_test_binary_in_another_role"]);
        let builder = builder.arg("--nocapture").env("NO_COLOR", "1");
        Self(builder.env(URL, url).env(LEASE_MS, lease_ms.to_string()))
    }

    /// Handles an entry only when the server has confirmed the one before.
    pub fn one_at_a_time(self) -> Self {
        Self(self.0.env(MAX_IN_FLIGHT, "1"))
    }

    /// Commits sales in groups, each of which waits so many milliseconds for more.
    pub fn in_groups(self, wait_ms: u64) -> Self {
        Self(self.0.env(COALESCES, wait_ms.to_string()))
    }

    /// Its handler stops in this sale until the file is there.
    pub fn stops_in(self, sku: &str, until: &Marker) -> Self {
        Self(self.0.env(STOPS_IN, sku).env(GOES_ON_WITH, &until.path))
    }

    /// Its handler aborts the process in this sale.
    pub fn aborts_in(self, sku: &str) -> Self {
        Self(self.0.env(ABORTS_IN, sku))
    }

    /// Its handler asks to try this sale again in an hour.
    pub fn fails_in(self, sku: &str) -> Self {
        Self(self.0.env(FAILS_IN, sku))
    }

    /// Gives up what cannot be handled.
    pub fn with_dead_letters(self) -> Self {
        Self(self.0.env(GIVES_UP, "1"))
    }

    /// Gives up what cannot be handled, and parks its key, the value of this field.
    pub fn parks_by(self, field: &str) -> Self {
        Self(self.0.env(PARKS_BY, field))
    }

    /// Its handler says that it is no use to try this sale again.
    pub fn refuses(self, sku: &str) -> Self {
        Self(self.0.env(REFUSES, sku))
    }

    pub fn start(self) -> Process {
        self.0.start()
    }
}

/// A file that is not there yet.
pub struct Marker {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Marker {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("go"), _folder: folder }
    }

    pub fn put(&self) {
        std::fs::write(&self.path, "").unwrap();
    }
}

#[derive(Deserialize)]
struct Sale {
    sku: String,
    quantity: i64,
}

#[derive(Serialize)]
struct RestockAlert<'a> {
    sku: &'a str,
    stock: i64,
}

#[derive(Persistable)]
struct InventoryTracker {
    #[persist(default = INITIAL_STOCK)]
    stock: i64,
    #[persist(skip)]
    stops_in: Option<(String, PathBuf)>,
    #[persist(skip)]
    aborts_in: Option<String>,
    #[persist(skip)]
    fails_in: Option<String>,
    #[persist(skip)]
    refuses: Option<String>,
}

#[async_trait]
impl Handler for InventoryTracker {
    type Message = Sale;

    async fn handle(&mut self, sale: Sale, tx: &mut Transaction) -> HandlerResult {
        eprintln!("handling {} for the {}. time", sale.sku, tx.message().attempt());
        self.stock -= sale.quantity;
        if self.stock <= ALERT_AT {
            tx.publish(ALERTS, &RestockAlert { sku: &sale.sku, stock: self.stock })?;
        }
        if self.aborts_in.as_ref() == Some(&sale.sku) {
            std::process::abort();
        }
        if self.refuses.as_ref() == Some(&sale.sku) {
            return Err(HandlerError::permanent("we do not sell these"));
        }
        if self.fails_in.as_ref() == Some(&sale.sku) {
            return Err(HandlerError::retry_after("not now", Duration::from_secs(3_600)));
        }
        if let Some((sku, until)) = &self.stops_in
            && *sku == sale.sku
        {
            eprintln!("inside {sku}");
            while !until.exists() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        Ok(())
    }
}

/// Among the tests it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_a_test_binary_in_another_role() {
    let set = |name: &str| std::env::var(name).ok();
    let Some(url) = set(URL) else { return };
    let errors = tracing_subscriber::fmt().with_writer(std::io::stderr);
    errors.with_max_level(tracing_subscriber::filter::LevelFilter::WARN).init();
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let stops_in = set(STOPS_IN).zip(set(GOES_ON_WITH).map(PathBuf::from));
    let shutdown = CancellationToken::new();
    let mut consumer = Consumer::builder(SALES, GROUP)
        .handler(InventoryTracker {
            stock: INITIAL_STOCK,
            stops_in,
            aborts_in: set(ABORTS_IN),
            fails_in: set(FAILS_IN),
            refuses: set(REFUSES),
        })
        .redis_url(url)
        .cancellation_token(shutdown.clone())
        .lease(Duration::from_millis(set(LEASE_MS).unwrap().parse().unwrap()));
    if let Some(max) = set(MAX_IN_FLIGHT) {
        consumer = consumer.max_in_flight(max.parse().unwrap());
    }
    if let Some(wait_ms) = set(COALESCES) {
        consumer = consumer.coalesce(256, Duration::from_millis(wait_ms.parse().unwrap()));
    }
    if set(GIVES_UP).is_some() {
        consumer = consumer.on_failure(OnFailure::dead_letter(DEAD));
    }
    if let Some(field) = set(PARKS_BY) {
        consumer = consumer.on_failure(OnFailure::park(DEAD, field));
    }
    let consumer = consumer.spawn().await.unwrap();
    let mut status = consumer.status();
    loop {
        eprintln!("status: {:?}", *status.borrow_and_update());
        tokio::select! {
            _ = terminate.recv() => break,
            changed = status.changed() => changed.unwrap(),
            ended = consumer.wait() => panic!("{ended:?}"),
        }
    }
    shutdown.cancel();
    eprintln!("asked to end");
    let report = consumer.shutdown().await.unwrap();
    eprintln!("ended: {report:?}");
}
