//! Shutdown: what is running is finished or dropped, what is done is committed, and the lease is given up.

use std::time::Duration;

use atomic_streams::{ConsumerHandle, EntryId, Error, HandlerError, Report, Status};
use support::{Hold, Proxy};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::puppet::puppet;
use crate::site::{Site, until_retrying, within};

const NOTHING_DONE: (u64, Option<EntryId>, bool) = (0, Some(EntryId::MIN), true);

fn parts(report: Report) -> (u64, Option<EntryId>, bool) {
    (report.processed, report.position, report.released)
}

#[tokio::test]
async fn a_consumer_may_be_shut_down_before_its_first_entry() {
    let mut site = Site::start().await;
    let (handler, _calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    assert_eq!(*consumer.status().borrow(), Status::Active);
    assert_eq!(parts(within(consumer.shutdown()).await.unwrap()), NOTHING_DONE);
    assert_eq!(*consumer.status().borrow(), Status::Stopped);
    assert_eq!(site.record("@lease").await, "0");
    assert_eq!(site.state("count").await, Some(0), "the first fields are written all the same");
}

#[tokio::test]
async fn shutting_down_again_and_at_the_same_time_gives_the_same_report() {
    let mut site = Site::start().await;
    let id = site.add(&[("n", "1")]).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    calls.next().await.done();
    site.until_processed(1).await;
    let (one, two, waited) =
        within(async { tokio::join!(consumer.shutdown(), consumer.shutdown(), consumer.wait()) }).await;
    let again = within(consumer.shutdown()).await;
    for report in [one, two, waited, again] {
        assert_eq!(parts(report.unwrap()), (1, Some(id), true));
    }
}

#[tokio::test]
async fn a_running_handler_is_waited_for_and_committed() {
    let mut site = Site::start().await;
    site.add_numbers(2).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    assert!(!call.message.cancelled().is_cancelled());
    let ending = async { within(consumer.shutdown()).await.unwrap() };
    let handling = async {
        call.cancelled().await;
        // Long after the consumer was told: it has asked the server for this and that.
        for _ in 0..20 {
            assert_eq!(site.processed().await, 0);
        }
        call.done();
    };
    let (report, ()) = tokio::join!(ending, handling);
    assert_eq!((report.processed, report.released), (1, true));
    assert!(calls.waiting().is_none(), "the entry behind it is left to the next consumer");
    assert_eq!((site.processed().await, site.state("count").await), (1, Some(1)));
    assert_eq!(site.column("out", "n").await, ["0"]);
}

#[tokio::test]
async fn a_handler_that_outlasts_the_grace_period_is_dropped_and_its_entry_handled_again() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let grace = Duration::from_millis(1);
    let consumer = site.consumer().grace_period(grace).handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    assert_eq!(parts(within(consumer.shutdown()).await.unwrap()), NOTHING_DONE);
    call.dropped().await;
    assert_eq!((site.processed().await, site.state("count").await), (0, Some(0)));
    assert_eq!(site.record("@lease").await, "0");

    let (handler, mut calls) = puppet();
    let _next = site.consumer().handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    assert_eq!((call.fields.get_str("n"), call.message.attempt(), call.count), (Some("0"), 1, 1));
    call.done();
    site.until_processed(1).await;
    assert_eq!(site.column("out", "n").await, ["0"]);
}

#[tokio::test]
async fn a_pause_between_two_tries_ends_at_shutdown() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    calls.next().await.fail(HandlerError::retry_after("tomorrow", Duration::from_secs(86_400)));
    until_retrying(&consumer).await;
    assert_eq!(parts(within(consumer.shutdown()).await.unwrap()), NOTHING_DONE);
    assert_eq!(site.state("count").await, Some(0));
}

#[tokio::test]
async fn a_handler_that_fails_after_shutdown_has_begun_is_not_tried_again() {
    let mut site = Site::start().await;
    site.add_numbers(1).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    let call = calls.next().await;
    let handling = async {
        call.cancelled().await;
        call.fail(HandlerError::retry_after("cancelled", Duration::ZERO));
    };
    let (report, ()) = tokio::join!(within(consumer.shutdown()), handling);
    assert_eq!(parts(report.unwrap()), NOTHING_DONE);
    assert!(calls.waiting().is_none());
}

#[tokio::test]
async fn commits_on_their_way_are_confirmed_before_shutdown_returns() {
    let mut site = Site::start().await;
    site.add_numbers(3).await;
    let proxy = Proxy::start(site.server.addr()).await;
    let (handler, mut calls) = puppet();
    let consumer = site.consumer().redis_url(proxy.url()).handler(handler).spawn().await.unwrap();
    // The output's name is in every commit and in nothing else.
    let commits = proxy.hold_requests_containing(b"\r\nout\r\n");
    for _ in 0..3 {
        calls.next().await.done();
    }
    commits.wait_until_held().await;
    let ending = within(consumer.shutdown());
    tokio::pin!(ending);
    let still_on_their_way = async {
        assert_eq!(site.processed().await, 0);
        commits.release();
    };
    let (report, ()) = tokio::join!(ending, still_on_their_way);
    let report = report.unwrap();
    assert_eq!((report.processed, report.released), (3, true));
    assert_eq!((site.processed().await, site.state("count").await), (3, Some(3)));
}

/// A consumer whose first attach is answered, and the answer on its way.
struct Attaching {
    site: Site,
    reply: Hold,
    shutdown: CancellationToken,
    spawned: JoinHandle<Result<ConsumerHandle, Error>>,
    /// Closes the connections when it is dropped.
    _proxy: Proxy,
}

async fn attaching() -> Attaching {
    let mut site = Site::start().await;
    let proxy = Proxy::start(site.server.addr()).await;
    let reply = proxy.hold_replies_after_request(b"the-owner");
    let shutdown = CancellationToken::new();
    let (handler, _calls) = puppet();
    let builder = site.consumer().redis_url(proxy.url()).owner_name("the-owner").cancellation_token(shutdown.clone());
    let spawned = tokio::spawn(builder.handler(handler).spawn());
    reply.wait_until_held().await;
    assert_ne!(site.record("@lease").await, "0", "the server has given the lease");
    Attaching { site, reply, shutdown, spawned, _proxy: proxy }
}

#[tokio::test]
async fn a_shutdown_that_crosses_the_attach_does_not_claim_that_the_lease_was_released() {
    let mut attaching = attaching().await;
    attaching.shutdown.cancel();
    let consumer = within(attaching.spawned).await.unwrap().unwrap();
    let report = within(consumer.wait()).await.unwrap();
    assert_eq!((report.processed, report.position), (0, None));
    assert_eq!(report.released, attaching.site.record("@lease").await == "0");
}

#[tokio::test]
async fn a_lease_that_comes_when_shutdown_has_begun_is_given_back() {
    let mut attaching = attaching().await;
    attaching.shutdown.cancel();
    attaching.reply.release();
    let consumer = within(attaching.spawned).await.unwrap().unwrap();
    assert!(within(consumer.wait()).await.unwrap().released);
    assert_eq!(attaching.site.record("@lease").await, "0");
}
