//! What the driver shows of entries that cannot be handled, and of those that kill the process.

use async_trait::async_trait;
use atomic_streams::{
    ConsumerBuilder, DeadLetters, EntryId, Error, ErrorKind, Handler, HandlerError, HandlerResult, OnFailure,
    Persistable, RetryPolicy, Sent, Status, TestDriver, Transaction,
};
use serde::{Deserialize, Serialize};
use support::eventually;
use tokio::sync::mpsc;

const DEAD: &str = "dead";

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Order {
    what: String,
}

/// Counts what it can handle; stays inside one for ever.
#[derive(Persistable)]
struct Clerk {
    count: u64,
    #[persist(skip)]
    inside: mpsc::UnboundedSender<EntryId>,
}

#[async_trait]
impl Handler for Clerk {
    type Message = Order;

    async fn handle(&mut self, order: Order, tx: &mut Transaction) -> HandlerResult {
        self.count += 1;
        tx.publish("done", &order)?;
        match order.what.as_str() {
            "refused" => Err(HandlerError::permanent("we do not sell these")),
            "unlucky" => Err("not today".into()),
            "deadly" => {
                self.inside.send(tx.message().id())?;
                std::future::pending().await
            }
            _ => Ok(()),
        }
    }
}

async fn open(
    settings: impl Fn(ConsumerBuilder<Clerk>) -> ConsumerBuilder<Clerk> + Send + Sync + 'static,
) -> Result<(TestDriver<Clerk>, mpsc::UnboundedReceiver<EntryId>), Error> {
    let (inside, deaths) = mpsc::unbounded_channel();
    let driver = TestDriver::with_settings(move || Clerk { count: 0, inside: inside.clone() }, settings).await?;
    Ok((driver, deaths))
}

fn order(what: &str) -> Order {
    Order { what: what.to_owned() }
}

fn gives_up(consumer: ConsumerBuilder<Clerk>) -> ConsumerBuilder<Clerk> {
    consumer.retry(RetryPolicy::default().max_attempts(3)).on_failure(OnFailure::dead_letter(DEAD))
}

#[tokio::test]
async fn dead_letters_are_seen_and_can_be_put_back() {
    let (mut driver, _deaths) = open(gives_up).await.unwrap();
    for what in ["a", "refused", "b", "unlucky"] {
        assert_eq!(driver.send(&order(what)).await.unwrap(), Sent::Committed);
    }
    assert_eq!(driver.state().unwrap().count, 2);
    assert_eq!(driver.published::<Order>("done").unwrap(), [order("a"), order("b")]);
    assert_eq!(driver.published::<Order>(DEAD).unwrap(), [order("refused"), order("unlucky")]);
    let shown: Vec<_> = driver.dead_letters(DEAD).into_iter().map(|letter| (letter.attempts, letter.error)).collect();
    assert_eq!(shown, [(1, "we do not sell these".to_owned()), (3, "not today".to_owned())]);

    assert_eq!(DeadLetters::in_memory(driver.store(), DEAD).unwrap().requeue_all().await.unwrap(), 2);
    assert_eq!(driver.settle().await.unwrap(), Sent::Committed);
    assert_eq!(driver.dead_letters(DEAD).len(), 2, "they failed again");
    assert_eq!(driver.store().entries("input").len(), 6);
}

#[tokio::test]
async fn an_error_that_is_retried_without_end_blocks() {
    let (mut driver, _deaths) = open(|consumer| consumer.on_failure(OnFailure::Skip)).await.unwrap();
    assert_eq!(driver.send(&order("refused")).await.unwrap(), Sent::Committed);
    assert!(matches!(driver.send(&order("unlucky")).await.unwrap(), Sent::Blocked { .. }));
}

#[tokio::test]
async fn the_end_at_an_entry_is_an_error() {
    let (mut driver, _deaths) = open(|consumer| consumer.on_failure(OnFailure::Stop)).await.unwrap();
    assert_eq!(driver.send(&order("refused")).await.unwrap_err().kind(), ErrorKind::EntryFailed);
    assert_eq!(driver.status(), Status::Stopped);
}

#[tokio::test]
async fn an_entry_that_kills_the_process_is_found() {
    let (mut driver, mut deaths) = open(|consumer| gives_up(consumer).max_crashes(2)).await.unwrap();
    for what in ["a", "b", "deadly", "c"] {
        driver.add(&order(what)).await.unwrap();
    }
    let mut died = 0;
    loop {
        let settled = tokio::select! {
            _ = deaths.recv() => None,
            settled = driver.settle() => Some(settled.unwrap()),
        };
        if let Some(settled) = settled {
            assert_eq!(settled, Sent::Committed);
            break;
        }
        died += 1;
        assert!(died <= 4, "the culprit is not found");
        driver.crash_and_restart().await.unwrap();
    }
    assert!(died >= 3, "{died} deaths");
    let letters = driver.dead_letters(DEAD);
    assert_eq!((letters.len(), letters[0].attempts, letters[0].entry.fields.get_str("what")), (1, 2, Some("deadly")));
    assert_eq!(driver.published::<Order>("done").unwrap(), [order("a"), order("b"), order("c")]);
    assert_eq!(driver.state().unwrap().count, 3);
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_waits_blames_no_entry() {
    let (mut driver, _deaths) = open(|consumer| gives_up(consumer).max_crashes(1)).await.unwrap();
    assert_eq!(driver.send(&order("a")).await.unwrap(), Sent::Committed);
    for _ in 0..10 {
        driver.crash_and_restart().await.unwrap();
        eventually("it has attached", async || driver.status() == Status::Active).await;
    }
    assert_eq!(driver.send(&order("b")).await.unwrap(), Sent::Committed);
    assert_eq!((driver.state().unwrap().count, driver.dead_letters(DEAD)), (2, Vec::new()));
}
