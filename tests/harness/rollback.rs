//! A server that loses its newest writes.

use redis::AsyncCommands;
use redis::streams::{StreamInfoGroupsReply, StreamInfoStreamReply};
use support::{Server, Snapshot};

#[tokio::test]
async fn a_rollback_takes_the_data_back_and_keeps_connections() {
    let server = Server::start().await;
    let mut connection = server.connection().await;
    let () = connection.xadd("stream", "1-1", &[("n", 1)]).await.unwrap();
    let () = connection.xadd("stream", "2-1", &[("n", 2)]).await.unwrap();
    let () = connection.xdel("stream", &["1-1"]).await.unwrap();
    let () = connection.xgroup_create("stream", "group", "2-1").await.unwrap();
    let () = connection.set("old", "1").await.unwrap();
    let () = connection.pexpire("old", 3_600_000).await.unwrap();
    let id = client_id(&mut connection).await;
    let snapshot = Snapshot::take(&mut connection).await;
    assert_eq!(snapshot.len(), 2);

    let () = connection.xadd("stream", "3-1", &[("n", 3)]).await.unwrap();
    let () = connection.xgroup_setid("stream", "group", "3-1").await.unwrap();
    let () = connection.set("old", "2").await.unwrap();
    let () = connection.set("new", "1").await.unwrap();
    snapshot.restore(&mut connection).await;

    assert_eq!(client_id(&mut connection).await, id, "the connection is another");
    let stream: StreamInfoStreamReply = connection.xinfo_stream("stream").await.unwrap();
    assert_eq!((stream.last_generated_id.as_str(), stream.length), ("2-1", 1));
    let groups: StreamInfoGroupsReply = connection.xinfo_groups("stream").await.unwrap();
    assert_eq!((groups.groups[0].name.as_str(), groups.groups[0].last_delivered_id.as_str()), ("group", "2-1"));
    let others: (String, bool) = redis::pipe().get("old").exists("new").query_async(&mut connection).await.unwrap();
    assert_eq!(others, ("1".into(), false));
    assert!(connection.pttl::<_, i64>("old").await.unwrap() > 0, "the key no longer expires");
}

async fn client_id(connection: &mut redis::aio::MultiplexedConnection) -> u64 {
    redis::cmd("CLIENT").arg("ID").query_async(connection).await.unwrap()
}
