//! A consumer in a process of its own: this binary, started once more.

use std::process::ExitCode;
use std::time::Duration;

use atomic_streams::{
    Consumer, ConsumerBuilder, ConsumerHandle, ErrorKind, Handler, HandlerError, HandlerResult, NoHandler, Persistable,
    RetryPolicy, StateDeque, StateMap, Status, Transaction, async_trait,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::WorkerOptions;
use crate::sabotage::Sabotage;
use crate::subscriptions::{AUDIT, Chain, Item, LEDGER, RECENT, STOCK, change};

/// Standbys take over after this time; some faults last longer.
pub const LEASE: Duration = Duration::from_secs(2);

/// Its rights were withdrawn.
pub const DENIED: u8 = 3;

/// What a worker says when it stands by after it was the owner.
pub const FENCED: &str = "fenced: the owner is now";

/// Plain fields alone. Both groups without collections use it.
#[derive(Persistable, Default)]
struct Ledger {
    count: u64,
    sum: u64,
    hash: u64,
    #[persist(skip)]
    sabotage: Option<Sabotage>,
}

#[async_trait]
impl Handler for Ledger {
    type Message = Item;

    async fn handle(&mut self, item: Item, tx: &mut Transaction) -> HandlerResult {
        if self.sabotage == Some(Sabotage::Drop) && Sabotage::drops(&item) {
            return Ok(());
        }
        let mut chain = Chain { count: self.count, sum: self.sum, hash: self.hash };
        chain.take(tx.message().id(), &item);
        let sabotage = self.sabotage.filter(|sabotage| sabotage.strikes(chain.count));
        if sabotage != Some(Sabotage::Forget) {
            Chain { count: self.count, sum: self.sum, hash: self.hash } = chain;
        }
        if sabotage != Some(Sabotage::Silent) {
            publish(&chain, tx)?;
        }
        if sabotage == Some(Sabotage::Twice) {
            publish(&chain, tx)?;
        }
        fail_now_and_then(&chain, tx)
    }
}

/// Collections beside plain fields.
#[derive(Persistable, Default)]
struct Stock {
    count: u64,
    sum: u64,
    hash: u64,
    by_key: StateMap<u64, u64>,
    recent: StateDeque<u64>,
}

#[async_trait]
impl Handler for Stock {
    type Message = Item;

    async fn handle(&mut self, item: Item, tx: &mut Transaction) -> HandlerResult {
        let mut chain = Chain { count: self.count, sum: self.sum, hash: self.hash };
        chain.take(tx.message().id(), &item);
        Chain { count: self.count, sum: self.sum, hash: self.hash } = chain;
        match change(&chain, |key| self.by_key.get(&key).copied()) {
            (key, Some(value)) => drop(self.by_key.insert(key, value)),
            (key, None) => drop(self.by_key.remove(&key)),
        }
        self.recent.push_back(chain.count);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        publish(&chain, tx)?;
        fail_now_and_then(&chain, tx)
    }
}

fn publish(chain: &Chain, tx: &mut Transaction) -> HandlerResult {
    let (group, id) = (tx.message().group().to_owned(), tx.message().id());
    let output = match group.as_str() {
        "ledger" => LEDGER.output,
        "audit" => AUDIT.output,
        _ => STOCK.output,
    };
    tx.publish(output, &chain.output(&group, id))?;
    Ok(())
}

/// A first try fails after all has been changed and published: none of it may remain.
fn fail_now_and_then(chain: &Chain, tx: &Transaction) -> HandlerResult {
    let dice = chain.hash >> 16;
    if tx.message().attempt() > 1 {
        return Ok(());
    }
    assert_ne!(dice % 20_011, 0, "a panic now and then");
    if dice.is_multiple_of(8_009) {
        return Err(HandlerError::retry_after("an error now and then", Duration::from_millis(2)));
    }
    Ok(())
}

/// Consumes until it is asked to end, or cannot go on.
pub fn run(options: &WorkerOptions) -> ExitCode {
    let errors = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false);
    errors.with_max_level(tracing_subscriber::filter::LevelFilter::ERROR).init();
    // Panics of the handler are on purpose, and named by the library.
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(consume(options))
}

async fn consume(options: &WorkerOptions) -> ExitCode {
    let mut terminate = signal(SignalKind::terminate()).expect("to hear of SIGTERM");
    let consumer = match spawn(options).await {
        Ok(consumer) => consumer,
        Err(error) => return ended(&error),
    };
    let mut status = consumer.status();
    let mut owned = false;
    loop {
        let now = status.borrow_and_update().clone();
        match now {
            Status::Active => owned = true,
            Status::Standby { owner } if owned => {
                owned = false;
                eprintln!("{FENCED} {owner}");
            }
            _ => {}
        }
        tokio::select! {
            _ = terminate.recv() => break,
            error = consumer.wait() => return error.map_or_else(|error| ended(&error), |_| ExitCode::SUCCESS),
            changed = status.changed() => if changed.is_err() {
                let outcome = consumer.wait().await;
                return outcome.map_or_else(|error| ended(&error), |_| ExitCode::SUCCESS);
            },
        }
    }
    match consumer.shutdown().await {
        Ok(report) => {
            eprintln!("{report:?}");
            ExitCode::SUCCESS
        }
        Err(error) => ended(&error),
    }
}

fn ended(error: &atomic_streams::Error) -> ExitCode {
    eprintln!("ended, {:?}: {error}", error.kind());
    if error.kind() == ErrorKind::Denied { ExitCode::from(DENIED) } else { ExitCode::FAILURE }
}

async fn spawn(options: &WorkerOptions) -> Result<ConsumerHandle, atomic_streams::Error> {
    let builder = |stream: &str| -> ConsumerBuilder<NoHandler> {
        let builder = Consumer::builder(stream, options.group.as_str()).redis_url(options.url.as_str());
        let retry = RetryPolicy::exponential(Duration::from_millis(2), Duration::from_millis(200));
        builder.lease(LEASE).owner_name(options.name.as_str()).max_in_flight(512).retry(retry)
    };
    let ledger = || Ledger { sabotage: options.sabotage, ..Ledger::default() };
    match options.group.as_str() {
        "ledger" => builder(LEDGER.stream).handler(ledger()).spawn().await,
        "audit" => {
            let builder = builder(AUDIT.stream).coalesce(128, Duration::from_millis(5));
            builder.handler(Ledger::default()).spawn().await
        }
        _ => builder(STOCK.stream).coalesce(64, Duration::ZERO).handler(Stock::default()).spawn().await,
    }
}
