//! The proxy: each fault as a client sees it, and as the server does.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, RedisResult};
use support::{Existing, Fault, Proxy, Server, eventually};

struct Bench {
    server: Server,
    proxy: Proxy,
    /// Through the proxy.
    client: MultiplexedConnection,
    /// Past it.
    direct: MultiplexedConnection,
}

async fn bench() -> Bench {
    let server = Server::start().await;
    let proxy = Proxy::start(server.addr()).await;
    let (client, direct) = (proxy.connection().await, server.connection().await);
    Bench { server, proxy, client, direct }
}

async fn increment(connection: &mut MultiplexedConnection) -> RedisResult<i64> {
    connection.incr("counter", 1).await
}

async fn counter(direct: &mut MultiplexedConnection) -> i64 {
    direct.get::<_, Option<i64>>("counter").await.unwrap().unwrap_or(0)
}

/// A client that gives up on a reply soon.
async fn impatient(proxy: &Proxy) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(Duration::from_millis(300)))
        .set_connection_timeout(Some(Duration::from_secs(10)));
    proxy.client().get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

#[tokio::test]
async fn bytes_pass_and_are_counted() {
    let Bench { server: _server, proxy, mut client, .. } = bench().await;
    let (requests, replies) = (proxy.bytes_to_server(), proxy.bytes_to_clients());
    let () = client.set("key", "x".repeat(3_000_000)).await.unwrap();
    let value: String = client.get("key").await.unwrap();
    assert_eq!(value.len(), 3_000_000);
    assert!(proxy.bytes_to_server() - requests > 3_000_000 && proxy.bytes_to_clients() - replies > 3_000_000);
    assert_eq!((proxy.accepted(), proxy.open()), (1, 1));
    drop(client);
    eventually("the proxy's connection ends with its client", async || proxy.open() == 0).await;
}

#[tokio::test]
async fn pipelines_pass_in_order() {
    let Bench { server: _server, proxy: _proxy, mut client, .. } = bench().await;
    let mut pipe = redis::pipe();
    for n in 0..1_000 {
        pipe.rpush("list", n).ignore();
    }
    let () = pipe.query_async(&mut client).await.unwrap();
    let list: Vec<i64> = client.lrange("list", 0, -1).await.unwrap();
    assert_eq!(list, (0..1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn latency_delays_and_loses_nothing() {
    let Bench { server: _server, proxy, mut client, mut direct } = bench().await;
    proxy.set(Fault::Latency(Duration::from_millis(20)));
    assert_eq!(increment(&mut client).await.unwrap(), 1);
    assert_eq!(counter(&mut direct).await, 1);
}

#[tokio::test]
async fn a_black_hole_times_out_and_applies_nothing_until_it_ends() {
    let Bench { server: _server, proxy, mut direct, .. } = bench().await;
    let mut client = impatient(&proxy).await;
    proxy.set(Fault::BlackHole);
    assert!(increment(&mut client).await.unwrap_err().is_timeout());
    assert_eq!(counter(&mut direct).await, 0);
    proxy.set(Fault::Pass);
    eventually("the request arrives late", async || counter(&mut direct).await == 1).await;
}

#[tokio::test]
async fn a_reset_breaks_the_connection_and_applies_nothing() {
    let Bench { server: _server, proxy, mut client, mut direct } = bench().await;
    proxy.set(Fault::Reset);
    assert!(increment(&mut client).await.unwrap_err().is_unrecoverable_error());
    assert!(proxy.client().get_multiplexed_async_connection().await.is_err());
    assert_eq!(counter(&mut direct).await, 0);
    proxy.set(Fault::Pass);
    assert_eq!(increment(&mut proxy.connection().await).await.unwrap(), 1);
}

#[tokio::test]
async fn dropped_replies_time_out_and_are_applied() {
    let Bench { server: _server, proxy, mut direct, .. } = bench().await;
    let mut client = impatient(&proxy).await;
    proxy.set(Fault::DropReplies);
    assert!(increment(&mut client).await.unwrap_err().is_timeout());
    assert_eq!(counter(&mut direct).await, 1);
    proxy.set(Fault::Pass);
    assert!(increment(&mut client).await.unwrap_err().is_timeout(), "the reply to another request came through");
    assert_eq!(counter(&mut direct).await, 2);
}

#[tokio::test]
async fn a_cut_reply_is_an_error_and_applied() {
    let Bench { server: _server, proxy, mut client, mut direct } = bench().await;
    for bytes in [0, 2] {
        proxy.set(Fault::CutReplyAfter(bytes));
        let before = counter(&mut direct).await;
        assert!(increment(&mut client).await.unwrap_err().is_unrecoverable_error());
        assert_eq!(counter(&mut direct).await, before + 1);
        proxy.set(Fault::Pass);
        client = proxy.connection().await;
    }
}

#[tokio::test]
async fn cut_all_closes_what_is_open() {
    let Bench { server: _server, proxy, mut client, .. } = bench().await;
    proxy.cut_all();
    assert!(increment(&mut client).await.unwrap_err().is_unrecoverable_error());
    eventually("no connection is open", async || proxy.open() == 0).await;
    assert_eq!(increment(&mut proxy.connection().await).await.unwrap(), 1);
}

#[tokio::test]
async fn a_held_request_reaches_the_server_when_it_is_released() {
    let Bench { server: _server, proxy, mut client, mut direct } = bench().await;
    let hold = proxy.hold_requests_containing(b"INCR");
    let () = client.set("other", 1).await.unwrap();
    let request = tokio::spawn(async move { increment(&mut client).await });
    hold.wait_until_held().await;
    assert_eq!(counter(&mut direct).await, 0);
    hold.release();
    assert_eq!(request.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_held_reply_is_to_a_request_that_was_applied() {
    let Bench { server: _server, proxy, mut client, mut direct } = bench().await;
    let hold = proxy.hold_replies_after_request(b"INCR");
    let mut other = client.clone();
    let request = tokio::spawn(async move { increment(&mut client).await });
    hold.wait_until_held().await;
    assert_eq!(counter(&mut direct).await, 1);
    assert!(!request.is_finished());
    let behind = tokio::spawn(async move { other.get::<_, i64>("counter").await });
    hold.release();
    assert_eq!(request.await.unwrap().unwrap(), 1);
    assert_eq!(behind.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_hold_goes_step_by_step() {
    let Bench { server: _server, proxy, client, mut direct } = bench().await;
    let hold = proxy.hold_replies_after_request(b"INCR");
    let mut requests = Vec::new();
    for n in 1..=3 {
        let mut client = client.clone();
        requests.push(tokio::spawn(async move { increment(&mut client).await }));
        hold.wait_until_held().await;
        assert_eq!(counter(&mut direct).await, n);
        hold.step();
        assert_eq!(requests.pop().unwrap().await.unwrap().unwrap(), n);
    }
    assert_eq!(hold.held(), 0);
}

#[tokio::test]
async fn a_held_request_arrives_even_after_its_client_has_gone() {
    let Bench { server: _server, proxy, mut client, mut direct } = bench().await;
    let hold = proxy.hold_requests_containing(b"INCR");
    let request = tokio::spawn(async move { increment(&mut client).await });
    hold.wait_until_held().await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    assert_eq!((counter(&mut direct).await, proxy.open()), (0, 1));
    hold.release();
    eventually("the server has worked the connection off", async || proxy.open() == 0).await;
    assert_eq!(counter(&mut direct).await, 1);
}

#[tokio::test]
async fn an_applied_request_can_lose_its_reply_at_a_named_point() {
    let Bench { server: _server, proxy, mut client, mut direct } = bench().await;
    let hold = proxy.hold_replies_after_request(b"INCR");
    let request = tokio::spawn(async move { increment(&mut client).await });
    hold.wait_until_held().await;
    proxy.cut_all();
    assert!(request.await.unwrap().unwrap_err().is_unrecoverable_error());
    assert_eq!(counter(&mut direct).await, 1);
}

#[tokio::test]
async fn a_surviving_connection_moves_to_another_server() {
    let Bench { server, proxy, mut client, mut direct } = bench().await;
    let other = Server::start().await;
    assert_eq!(increment(&mut client).await.unwrap(), 1);
    proxy.retarget(other.addr(), Existing::Move);
    assert_eq!(increment(&mut client).await.unwrap(), 1);
    assert_eq!(counter(&mut direct).await, 1);
    server.kill();
    let () = client.set("key", "new").await.unwrap();
    let value: String = other.connection().await.get("key").await.unwrap();
    assert_eq!(value, "new");
    assert_eq!(proxy.accepted(), 1, "the client has connected again");
}

#[tokio::test]
async fn a_failover_that_the_client_does_not_notice() {
    let Bench { server, proxy, mut client, .. } = bench().await;
    let replica = Server::builder().replica_of(&server).start().await;
    assert_eq!(increment(&mut client).await.unwrap(), 1);
    let mut promoted = replica.connection().await;
    eventually("the replica has the counter", async || counter(&mut promoted).await == 1).await;

    let mut blocked = proxy.connection().await;
    let hold = proxy.hold_requests_containing(b"BLPOP");
    let pop = tokio::spawn(async move { blocked.blpop::<_, (String, String)>("list", 0.0).await });
    hold.wait_until_held().await;
    hold.release();
    let in_flight = async || {
        let clients: String =
            redis::cmd("CLIENT").arg("LIST").query_async(&mut server.connection().await).await.unwrap();
        clients.contains("cmd=blpop")
    };
    eventually("the old server has the request", in_flight).await;

    // Frozen, the proxy does not see the old server end.
    proxy.set(Fault::BlackHole);
    server.kill();
    let () = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async(&mut promoted).await.unwrap();
    proxy.retarget(replica.addr(), Existing::MoveAndResend);
    proxy.set(Fault::Pass);

    assert_eq!(increment(&mut client).await.unwrap(), 2);
    let () = promoted.rpush("list", "element").await.unwrap();
    assert_eq!(pop.await.unwrap().unwrap().1, "element");
    assert_eq!(proxy.accepted(), 2, "a client has connected again");
}

#[tokio::test]
async fn a_move_closes_connections_with_a_request_in_flight() {
    let Bench { server, proxy, mut client, .. } = bench().await;
    let other = Server::start().await;
    let pop = tokio::spawn(async move { client.blpop::<_, (String, String)>("list", 0.0).await });
    let in_flight = async || {
        let clients: String =
            redis::cmd("CLIENT").arg("LIST").query_async(&mut server.connection().await).await.unwrap();
        clients.contains("cmd=blpop")
    };
    eventually("the server has the request", in_flight).await;
    proxy.retarget(other.addr(), Existing::Move);
    assert!(pop.await.unwrap().unwrap_err().is_unrecoverable_error());
}

#[tokio::test]
async fn new_connections_alone_go_to_another_server() {
    let Bench { server: _server, proxy, mut client, mut direct } = bench().await;
    let other = Server::start().await;
    proxy.retarget(other.addr(), Existing::Stay);
    assert_eq!(increment(&mut client).await.unwrap(), 1);
    assert_eq!(increment(&mut proxy.connection().await).await.unwrap(), 1);
    assert_eq!(counter(&mut direct).await, 1);
    assert_eq!(counter(&mut other.connection().await).await, 1);
}

#[tokio::test]
async fn a_server_that_ends_closes_its_connections() {
    let Bench { server, proxy, mut client, .. } = bench().await;
    server.kill();
    assert!(increment(&mut client).await.unwrap_err().is_unrecoverable_error());
    assert!(proxy.client().get_multiplexed_async_connection().await.is_err());
    server.restart().await;
    assert_eq!(increment(&mut proxy.connection().await).await.unwrap(), 1);
}
