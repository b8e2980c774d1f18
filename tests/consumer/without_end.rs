//! Handlers that never wait, and spans that never end.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use atomic_streams::{ErrorKind, Fields, Handler, HandlerError, HandlerResult, Persistable, Transaction};
use redis::Commands;
use tokio::sync::mpsc;

use crate::puppet::puppet;
use crate::site::{RECORD, Site, until_retrying, within};

/// Works for more than a millisecond without waiting, and says how many entries were committed when it began.
#[derive(Persistable)]
struct Busy {
    count: u64,
    #[persist(skip)]
    redis: redis::Connection,
    #[persist(skip)]
    committed: mpsc::UnboundedSender<u64>,
}

#[async_trait]
impl Handler for Busy {
    type Message = Fields;

    async fn handle(&mut self, _fields: Fields, _tx: &mut Transaction) -> HandlerResult {
        self.count += 1;
        let began = Instant::now();
        self.committed.send(self.redis.hget(RECORD, "@processed")?)?;
        while began.elapsed() < Duration::from_micros(1_500) {
            std::hint::spin_loop();
        }
        Ok(())
    }
}

#[tokio::test]
async fn commits_go_on_while_a_handler_never_waits() {
    let mut site = Site::start().await;
    // More than one read, so that most of them lie there, read, while the first of them are handled.
    site.add_numbers(200).await;
    let (committed, mut seen) = mpsc::unbounded_channel();
    let handler = Busy { count: 0, redis: site.server.client().get_connection().unwrap(), committed };
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    site.until_processed(200).await;
    within(consumer.shutdown()).await.unwrap();
    let mut last = 0;
    for handled in 0..200 {
        last = seen.try_recv().unwrap();
        assert!(last <= handled);
    }
    assert!(last > 100, "when the last entry was handled, no more than {last} were committed");
}

#[tokio::test]
async fn a_grace_period_without_end_is_that() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().grace_period(Duration::MAX).handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    let (report, ()) = tokio::join!(within(consumer.shutdown()), async {
        call.cancelled().await;
        call.done();
    });
    assert_eq!(report.unwrap().processed, 1);
}

#[tokio::test]
async fn an_entry_may_be_put_off_without_end() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    calls.next().await.fail(HandlerError::retry_after("never again", Duration::MAX));
    until_retrying(&consumer).await;
    assert_eq!(within(consumer.shutdown()).await.unwrap().processed, 0);
}

#[tokio::test]
async fn a_database_that_the_server_has_not_is_refused() {
    let site = Site::start().await;
    let (handler, _calls) = puppet();
    let error = site.consumer().redis_url(format!("{}/999", site.server.url())).handler(handler).spawn().await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidConfig);
}
