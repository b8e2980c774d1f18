//! Two consumers in one application, which Ctrl-C or SIGTERM ends: handlers finish, commits are flushed, leases released.
//!
//! ```sh
//! cargo run --example graceful_shutdown
//! ```

mod setup;

use std::error::Error;
use std::time::Duration;

use atomic_streams::{Consumer, Handler, HandlerResult, Persistable, Transaction, async_trait};
use serde::{Deserialize, Serialize};
use setup::Setup;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[derive(Serialize, Deserialize)]
struct Tick {
    number: u64,
}

/// Adds up what it gets, slowly.
#[derive(Persistable)]
struct Sum {
    #[persist(default = 0)]
    total: u64,
    #[persist(skip)]
    pause: Duration,
}

#[async_trait]
impl Handler for Sum {
    type Message = Tick;

    async fn handle(&mut self, tick: Tick, tx: &mut Transaction) -> HandlerResult {
        tokio::time::sleep(self.pause).await;
        self.total += tick.number;
        if tx.message().cancelled().is_cancelled() {
            println!("  an entry was being handled when the end was asked for; it is still finished");
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // From here on, a signal no longer kills the process.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let setup = Setup::find().await;
    let shutdown = CancellationToken::new();
    let start = async |group: &str, pause| {
        let builder = Consumer::builder("ticks", group)
            .handler(Sum { total: 0, pause })
            .cancellation_token(shutdown.clone())
            .grace_period(Duration::from_secs(5));
        setup.connect(builder).spawn().await
    };
    let fast = start("fast", Duration::from_millis(20)).await?;
    let slow = start("slow", Duration::from_millis(200)).await?;
    println!("two consumers are running; press Ctrl-C, or wait five seconds");

    let producer = setup.producer()?;
    let mut number = 0;
    let why = tokio::select! {
        _ = interrupt.recv() => "Ctrl-C",
        _ = terminate.recv() => "SIGTERM",
        () = tokio::time::sleep(Duration::from_secs(5)) => "the end of five seconds",
        error = async {
            loop {
                number += 1;
                if let Err(error) = producer.publish("ticks", &Tick { number }).await {
                    break error;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        } => return Err(error.into()),
    };

    println!("shutting down because of {why}");
    shutdown.cancel();
    for (name, consumer) in [("fast", fast), ("slow", slow)] {
        let report = consumer.wait().await?;
        let lease = if report.released { "released its lease" } else { "could not release its lease" };
        println!("{name}: committed {} entries and {lease}", report.processed);
    }
    println!("what was not handled is waiting in the stream; the next start goes on there");
    Ok(())
}
