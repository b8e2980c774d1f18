//! Error replies and broken connections: each is told apart, and a commit that meets one has changed nothing.

use std::time::Duration;

use atomic_streams::EntryId;
use atomic_streams::internals::{
    Commit, Failure, Permanent, RedisStore, Step, StepReply, Store, StoreError, Timing, Transient,
};
use support::{Server, eventually};

use crate::bench::Bench;
use crate::kit::{RENEW, STREAM, Session, connect, fields, id, publish, request, subscription, values};

/// A session on a stream of five entries, with the first of them committed.
async fn session_on(server: Server) -> (Bench, Session) {
    let bench = Bench::on(server).await;
    for ms in 1..=5 {
        bench.add_with_id(STREAM, id(ms), fields("x")).await;
    }
    let mut session = Session::start(&bench).await;
    session.done(Commit { operations: vec![publish("out", "1")], ..session.commit(1, id(1)) }).await;
    (bench, session)
}

async fn session() -> (Bench, Session) {
    session_on(Server::start().await).await
}

fn second(session: &Session) -> Step {
    Step::Commit(Commit { operations: vec![publish("out", "2")], ..session.commit(2, id(2)) })
}

async fn answer(session: &mut Session, step: Step) -> Result<StepReply, StoreError> {
    session.link.send(session.owned.head.token.as_str(), &[step]).await.remove(0)
}

async fn transient(session: &mut Session, step: Step, why: Transient) {
    let error = answer(session, step).await.unwrap_err();
    assert_eq!(error.failure, Failure::Transient(why), "{error}");
}

async fn attach_fails(session: &mut Session, why: Transient) {
    let error = session.link.attach(&request("a", 2)).await.unwrap_err();
    assert_eq!(error.failure, Failure::Transient(why), "{error}");
}

/// The second commit goes through after all, once.
async fn goes_on(bench: &Bench, session: &mut Session) {
    let step = second(session);
    assert!(matches!(session.send(step).await, StepReply::Committed { .. }));
    assert_eq!(values(&bench.entries("out").await), ["1", "2"]);
}

#[tokio::test]
async fn a_full_server_takes_no_commits_and_lets_the_owner_keep_its_lease() {
    let (bench, mut session) = session().await;
    let real = bench.real();
    let () = real.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let before = real.dumps().await;
    let step = second(&session);
    transient(&mut session, step, Transient::OutOfMemory).await;
    attach_fails(&mut session, Transient::OutOfMemory).await;
    assert_eq!(real.dumps().await, before);
    assert!(matches!(session.send(RENEW).await, StepReply::Renewed(renewed) if renewed.cursor_trouble.is_none()));
    assert_eq!(session.send(Step::Release).await, StepReply::Released { was_owner: true });
    assert!(session.link.load(&[]).await.unwrap().is_some());
    assert_eq!(session.link.read(id(4), 9, Duration::from_secs(1)).await.unwrap().len(), 1);
    let () = real.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    goes_on(&bench, &mut session).await;
}

#[tokio::test]
async fn a_demoted_server_is_read_only() {
    let (bench, mut session) = session().await;
    let real = bench.real();
    let before = real.dumps().await;
    // Nothing listens there: it keeps its data.
    let () = real.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    for step in [second(&session), RENEW, Step::Release] {
        transient(&mut session, step, Transient::ReadOnly).await;
    }
    attach_fails(&mut session, Transient::ReadOnly).await;
    assert_eq!(real.dumps().await, before);
    let () = real.ask(&["CONFIG", "SET", "replica-serve-stale-data", "no"]).await;
    let error = session.link.load(&[]).await.unwrap_err();
    assert_eq!(error.failure, Failure::Transient(Transient::MasterDown), "{error}");
    let () = real.ask(&["REPLICAOF", "NO", "ONE"]).await;
    assert_eq!(real.dumps().await, before);
    goes_on(&bench, &mut session).await;
}

#[tokio::test]
async fn a_replica_takes_no_attach() {
    let primary = Server::start().await;
    let bench = Bench::on(Server::builder().replica_of(&primary).start().await).await;
    let error = connect(&bench).await.attach(&request("a", 1)).await.unwrap_err();
    assert_eq!(error.failure, Failure::Transient(Transient::ReadOnly), "{error}");
}

#[tokio::test]
async fn flushed_scripts_are_loaded_by_the_next_connection() {
    let (bench, mut session) = session().await;
    let before = bench.real().dumps().await;
    let () = bench.real().ask(&["SCRIPT", "FLUSH"]).await;
    for step in [second(&session), RENEW, Step::Release] {
        transient(&mut session, step, Transient::ScriptsFlushed).await;
    }
    attach_fails(&mut session, Transient::ScriptsFlushed).await;
    assert_eq!(bench.real().dumps().await, before);
    session.link = connect(&bench).await;
    goes_on(&bench, &mut session).await;
}

#[tokio::test]
async fn a_server_without_its_replicas_takes_no_commits() {
    let (bench, mut session) = session().await;
    let before = bench.real().dumps().await;
    let () = bench.real().ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    for step in [second(&session), RENEW, Step::Release] {
        transient(&mut session, step, Transient::NotEnoughReplicas).await;
    }
    attach_fails(&mut session, Transient::NotEnoughReplicas).await;
    assert_eq!(bench.real().dumps().await, before);
    let () = bench.real().ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
    goes_on(&bench, &mut session).await;
}

#[tokio::test]
async fn a_server_that_cannot_save_takes_no_commits() {
    let (bench, mut session) = session().await;
    let real = bench.real();
    let (_, folder): (String, String) = real.ask(&["CONFIG", "GET", "dir"]).await;
    // A folder in the place of the file lets no snapshot be written, also for root.
    std::fs::create_dir_all(format!("{folder}/dump.rdb/in-the-way")).unwrap();
    let () = real.ask(&["CONFIG", "SET", "save", "3600 1"]).await;
    let _: String = real.ask(&["BGSAVE"]).await;
    eventually("the snapshot fails", async || {
        real.ask::<String>(&["INFO", "persistence"]).await.contains("rdb_last_bgsave_status:err")
    })
    .await;
    let before = real.dumps().await;
    for step in [second(&session), RENEW, Step::Release] {
        transient(&mut session, step, Transient::CannotPersist).await;
    }
    attach_fails(&mut session, Transient::CannotPersist).await;
    assert_eq!(real.dumps().await, before);
    let () = real.ask(&["CONFIG", "SET", "save", ""]).await;
    goes_on(&bench, &mut session).await;
}

#[tokio::test]
async fn a_server_busy_with_a_script_takes_no_commits() {
    let (bench, mut session) = session().await;
    let real = bench.real();
    let before = real.dumps().await;
    let () = real.ask(&["CONFIG", "SET", "busy-reply-threshold", "1"]).await;
    let mut busy = real.server.connection().await;
    let running =
        tokio::spawn(
            async move { redis::cmd("EVAL").arg("while true do end").arg(0).query_async::<()>(&mut busy).await },
        );
    let mut watching = real.server.connection().await;
    eventually("the server is busy", async || {
        let reply: redis::RedisResult<String> = redis::cmd("PING").query_async(&mut watching).await;
        reply.is_err_and(|error| error.code() == Some("BUSY"))
    })
    .await;
    for step in [second(&session), RENEW, Step::Release] {
        transient(&mut session, step, Transient::Busy).await;
    }
    attach_fails(&mut session, Transient::Busy).await;
    let () = redis::cmd("SCRIPT").arg("KILL").query_async(&mut watching).await.unwrap();
    assert!(running.await.unwrap().is_err());
    assert_eq!(real.dumps().await, before);
    goes_on(&bench, &mut session).await;
}

#[tokio::test]
async fn a_server_that_loads_its_data_takes_no_commits() {
    let (bench, mut session) = session().await;
    let real = bench.real();
    for n in 0..200 {
        let () = real.ask(&["SET", &format!("key {n}"), &"x".repeat(1_000)]).await;
    }
    // So that loading takes a while, and clients are answered meanwhile, after each of those keys.
    let () = real.ask(&["CONFIG", "SET", "rdbcompression", "no"]).await;
    let () = real.ask(&["CONFIG", "SET", "key-load-delay", "20000"]).await;
    let () = real.ask(&["CONFIG", "SET", "loading-process-events-interval-bytes", "1024"]).await;
    let mut loading = real.server.connection().await;
    let reload = tokio::spawn(async move { redis::cmd("DEBUG").arg("RELOAD").query_async::<()>(&mut loading).await });
    let mut watching = real.server.connection().await;
    eventually("the server loads", async || {
        let reply: redis::RedisResult<String> = redis::cmd("GET").arg("key 1").query_async(&mut watching).await;
        reply.is_err_and(|error| error.code() == Some("LOADING"))
    })
    .await;
    for step in [second(&session), RENEW] {
        transient(&mut session, step, Transient::Loading).await;
    }
    attach_fails(&mut session, Transient::Loading).await;
    let () = redis::cmd("CONFIG").arg("SET").arg("key-load-delay").arg(0).query_async(&mut watching).await.unwrap();
    reload.await.unwrap().unwrap();
    goes_on(&bench, &mut session).await;
}

#[tokio::test]
async fn a_read_that_the_server_ends_is_no_empty_read() {
    let (bench, session) = session().await;
    let mut link = session.link;
    let reading = tokio::spawn(async move { link.read(id(5), 9, Duration::from_secs(60)).await });
    bench.a_read_waits().await;
    let clients: String = bench.real().ask(&["CLIENT", "LIST"]).await;
    let blocked = clients.lines().find(|line| line.contains(" cmd=xread")).unwrap();
    let number = blocked.split([' ', '=']).nth(1).unwrap();
    assert_eq!(bench.real().ask::<u64>(&["CLIENT", "UNBLOCK", number, "ERROR"]).await, 1);
    let error = reading.await.unwrap().unwrap_err();
    assert_eq!(error.failure, Failure::Transient(Transient::Unblocked), "{error}");
}

#[tokio::test]
async fn a_killed_connection_stays_broken() {
    let (bench, mut session) = session().await;
    let before = bench.real().dumps().await;
    let _: u64 = bench.real().ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    for step in [second(&session), RENEW, Step::Release] {
        transient(&mut session, step, Transient::ConnectionLost).await;
    }
    attach_fails(&mut session, Transient::ConnectionLost).await;
    let read = session.link.read(EntryId::MIN, 9, Duration::from_secs(60)).await.unwrap_err();
    assert_eq!(read.failure, Failure::Transient(Transient::ConnectionLost), "{read}");
    assert_eq!(bench.real().dumps().await, before);
    session.link = connect(&bench).await;
    goes_on(&bench, &mut session).await;
}

#[tokio::test]
async fn a_connection_killed_under_a_read_ends_it() {
    let (bench, session) = session().await;
    let mut link = session.link;
    let reading = tokio::spawn(async move { link.read(id(5), 9, Duration::from_secs(60)).await });
    bench.a_read_waits().await;
    let _: u64 = bench.real().ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    let error = reading.await.unwrap().unwrap_err();
    assert_eq!(error.failure, Failure::Transient(Transient::ConnectionLost), "{error}");
}

#[tokio::test]
async fn a_server_that_is_gone_is_a_lost_connection() {
    let (bench, mut session) = session().await;
    bench.real().server.kill();
    let step = second(&session);
    transient(&mut session, step, Transient::ConnectionLost).await;
    let Err(error) = bench.store().connect(&subscription()).await else { panic!("it answers") };
    assert_eq!(error.failure, Failure::Transient(Transient::ConnectionLost), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_times_out() {
    let bench = Bench::redis().await;
    let timing = Timing { lease: Duration::from_millis(100) };
    let store = RedisStore::new(&bench.real().server.client(), timing).unwrap();
    let mut link = store.connect(&subscription()).await.unwrap();
    bench.real().server.pause();
    let replies = link.send("token", &[RENEW, Step::Release]).await;
    let failures: Vec<_> = replies.into_iter().map(|reply| reply.unwrap_err().failure).collect();
    assert_eq!(failures, [Failure::Transient(Transient::TimedOut)], "no reply follows an error");
    let Err(error) = store.connect(&subscription()).await else { panic!("it answers") };
    assert!(matches!(error.failure, Failure::Transient(Transient::TimedOut | Transient::ConnectionLost)), "{error}");
    bench.real().server.resume();
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let server = Server::builder().password("secret").start().await;
    for url in [format!("redis://{}/", server.addr()), format!("redis://:wrong@{}/", server.addr())] {
        let store = RedisStore::new(&redis::Client::open(url).unwrap(), Timing::default()).unwrap();
        let Err(error) = store.connect(&subscription()).await else { panic!("it lets everybody in") };
        assert_eq!(error.failure, Failure::Permanent(Permanent::Denied), "{error}");
    }
}

/// It says so in place of an answer to the password, and must not be taken for one. Where no password is sent, the
/// client sees only the connection end.
#[tokio::test]
async fn a_server_with_too_many_clients_has_not_refused_the_password() {
    for server in [Server::builder().password("secret"), Server::builder()] {
        let bench = Bench::on(server.start().await).await;
        let () = bench.real().ask(&["CONFIG", "SET", "maxclients", "1"]).await;
        let Err(error) = bench.store().connect(&subscription()).await else { panic!("it takes more") };
        let known = [Transient::TooManyClients, Transient::ConnectionLost].map(Failure::Transient);
        assert!(known.contains(&error.failure), "{error}");
        let () = bench.real().ask(&["CONFIG", "SET", "maxclients", "100"]).await;
        connect(&bench).await;
    }
}

/// What a pipeline brings behind an error reply would be of no use, and is not told.
#[tokio::test]
async fn no_reply_follows_an_error() {
    let (bench, mut session) = session().await;
    let () = bench.real().ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let steps = [RENEW, second(&session), RENEW, Step::Release];
    let replies = session.link.send(session.owned.head.token.as_str(), &steps).await;
    assert_eq!(replies.len(), 2, "{replies:?}");
    assert!(replies[0].is_ok() && replies[1].is_err(), "{replies:?}");
}
