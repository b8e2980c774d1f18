//! Rounds and searches on a real server, with real consumers.

mod letters;

use std::time::Instant;

use atomic_streams::redis::AsyncCommands;
use atomic_streams::redis::aio::MultiplexedConnection;
use atomic_streams::{
    Consumer, ConsumerBuilder, ConsumerHandle, Fields, Handler, HandlerError, HandlerResult, OnFailure, Persistable,
    StateMap, Transaction, async_trait,
};
use support::eventually;

use super::*;
use crate::args::ServerArgs;
use crate::top::history::History;
use crate::top::snapshot::{Letters, Standing};

/// Adds up what is a number.
#[derive(Persistable, Default)]
struct Till {
    #[persist(default = 0)]
    takings: i64,
}

#[async_trait]
impl Handler for Till {
    type Message = Fields;

    async fn handle(&mut self, sale: Fields, _: &mut Transaction) -> HandlerResult {
        match sale.get_str("cents").and_then(|cents| cents.parse::<i64>().ok()) {
            Some(cents) => self.takings += cents,
            None => return Err(HandlerError::permanent("cents are a number")),
        }
        Ok(())
    }
}

/// A server, a connection of the test's own, and what is tested.
struct Shop {
    server: support::Server,
    redis: MultiplexedConnection,
    watch: Watch,
    search: Search,
}

impl Shop {
    async fn open() -> Self {
        Self::of(support::Server::builder().append_only("always").start().await).await
    }

    async fn of(server: support::Server) -> Self {
        let redis = server.connection().await;
        let (watch, search) = asking(server.url(), vec![]);
        Self { server, redis, watch, search }
    }

    fn builder(&self, stream: &str, group: &str) -> ConsumerBuilder<Till> {
        Consumer::builder(stream, group).redis_url(self.server.url()).owner_name("till-1").handler(Till::default())
    }

    async fn spawn(&self, stream: &str, group: &str) -> ConsumerHandle {
        self.builder(stream, group).spawn().await.unwrap()
    }

    async fn sell(&mut self, stream: &str, cents: &str) {
        let () = self.redis.xadd(stream, "*", &[("customer", "ada"), ("cents", cents)]).await.unwrap();
    }

    /// One that has handled `sales` sales of a cent each, and was shut down.
    async fn after(&mut self, sales: u64) -> Name {
        for _ in 0..sales {
            self.sell("sales", "1").await;
        }
        let consumer = self.spawn("sales", "till").await;
        eventually("all are handled", async || consumer.stats().processed == sales).await;
        consumer.shutdown().await.unwrap();
        name("sales", "till")
    }

    async fn round(&mut self, names: &[Name]) -> Result<Snapshot, String> {
        self.watch.round(&Ask { names: names.to_vec(), state_of: None }, Some(&[])).await
    }

    async fn record(&mut self, name: &Name) -> Record {
        let round = self.round(std::slice::from_ref(name)).await.unwrap();
        round.looks[0].seen.record().unwrap().clone()
    }

    async fn letters(&mut self, streams: &[&str]) -> BTreeMap<Name, Letters> {
        let streams: Vec<String> = streams.iter().map(|stream| (*stream).to_owned()).collect();
        let round = self.watch.round(&Ask::default(), Some(&streams)).await.unwrap();
        assert_eq!(round.notes, Vec::<String>::new());
        round.letters.unwrap()
    }

    /// How often a command was called.
    async fn calls(&mut self, command: &str) -> u64 {
        let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut self.redis).await.unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    async fn sent_bytes(&mut self) -> u64 {
        let info: String = redis::cmd("INFO").arg("stats").query_async(&mut self.redis).await.unwrap();
        info.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:")).unwrap().parse().unwrap()
    }
}

fn asking(url: &str, named: Vec<String>) -> (Watch, Search) {
    let args = ServerArgs { url: url.to_owned(), ca_cert: None, client_cert: None, client_key: None };
    let server = Arc::new(Server::of(&args).unwrap());
    let start = Instant::now();
    (Watch::new(&server, Arc::new(move || start.elapsed())).unwrap(), Search::new(&server, named).unwrap())
}

fn name(stream: &str, group: &str) -> Name {
    Name::new(stream, group)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_shows_who_has_it_who_waits_and_how_far_it_is() {
    let mut shop = Shop::open().await;
    let name = name("sales", "till");
    let owner = shop.spawn("sales", "till").await;
    let standby = shop.spawn("sales", "till").await;
    for _ in 0..10 {
        shop.sell("sales", "3").await;
    }
    eventually("all are handled and the standby listens", async || {
        let record = shop.record(&name).await;
        record.processed == 10 && record.standbys == Some(1)
    })
    .await;
    let ask = Ask { names: vec![name.clone()], state_of: Some(name.clone()) };
    let round = shop.watch.round(&ask, Some(&[])).await.unwrap();
    let record = round.looks[0].seen.record().unwrap();
    assert_eq!((record.standing(), record.owner.as_str(), record.epoch), (Standing::Active, "till-1", 1));
    assert_eq!((record.lag, record.lag_ms, record.length, record.passed_over), (Some(0), None, 10, Some(0)));
    let head: String = shop.redis.hget(&record.key, "@head").await.unwrap();
    assert_eq!(record.head, head);
    assert_eq!(round.state, Some((name.clone(), State::Fields(vec![("takings".into(), "30".into())]))));
    assert_eq!(round.notes, Vec::<String>::new());

    // The state is read anew when there is another one, and only then.
    let reads = shop.calls("hgetall").await;
    shop.watch.round(&ask, Some(&[])).await.unwrap();
    assert_eq!(shop.calls("hgetall").await, reads);
    shop.sell("sales", "5").await;
    let mut shown = async || shop.watch.round(&ask, Some(&[])).await.unwrap().state.unwrap().1;
    eventually("the state follows", async || shown().await == State::Fields(vec![("takings".into(), "35".into())]))
        .await;

    owner.shutdown().await.unwrap();
    eventually("the standby has it", async || {
        let record = shop.record(&name).await;
        (record.epoch, record.standing(), record.standbys) == (2, Standing::Active, Some(0))
    })
    .await;
    standby.shutdown().await.unwrap();
    assert_eq!(shop.record(&name).await.standing(), Standing::Released);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_dies_is_lost_and_what_waits_is_counted() {
    let mut shop = Shop::open().await;
    let name = name("sales", "till");
    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let builder = shop.builder("sales", "till").lease(Duration::from_millis(500));
    process.spawn(async move { builder.spawn().await.unwrap() }).await.unwrap();
    process.shutdown_background();
    for _ in 0..7 {
        shop.sell("sales", "3").await;
    }
    eventually("its lease has run out", async || shop.record(&name).await.standing() == Standing::Lost).await;
    let record = shop.record(&name).await;
    assert_eq!((record.lag, record.standbys), (Some(7), Some(0)));
    assert!(record.lag_ms.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_and_what_goes_unread_come_from_successive_rounds() {
    let mut shop = Shop::open().await;
    let name = shop.after(20).await;
    let mut history = History::default();
    history.see(Duration::from_secs(1), &shop.record(&name).await);
    for _ in 0..30 {
        shop.sell("sales", "1").await;
    }
    history.see(Duration::from_secs(2), &shop.record(&name).await);
    assert_eq!((history.rate(), history.trimmed()), (Some(0.0), Some(0)));
    let () = shop.redis.xtrim("sales", redis::streams::StreamMaxlen::Equals(18)).await.unwrap();
    history.see(Duration::from_secs(3), &shop.record(&name).await);
    assert_eq!((history.rate(), history.trimmed()), (Some(0.0), Some(12)));
    let consumer = shop.spawn("sales", "till").await;
    eventually("the rest is handled", async || consumer.stats().processed == 18).await;
    history.see(Duration::from_secs(4), &shop.record(&name).await);
    assert_eq!((history.rate(), history.trimmed()), (Some(6.0), Some(12)), "18 in three seconds");
}

/// Remembers how much each customer has paid, and what for, in full.
#[derive(Persistable, Default)]
struct Book {
    paid: StateMap<String, String>,
}

#[async_trait]
impl Handler for Book {
    type Message = Fields;

    async fn handle(&mut self, sale: Fields, _: &mut Transaction) -> HandlerResult {
        let text = |name| sale.get_str(name).unwrap_or_default().to_owned();
        self.paid.insert(text("customer"), text("cents"));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_large_is_not_read() {
    let mut shop = Shop::open().await;
    let name = shop.after(1).await;
    let ask = Ask { names: vec![name.clone()], state_of: Some(name.clone()) };
    let key = shop.record(&name).await.key;
    let () = shop.redis.hset(&key, "blob", vec![0_u8; 300 << 10]).await.unwrap();
    assert_eq!(shop.watch.round(&ask, Some(&[])).await.unwrap().state, Some((name, State::Large)));

    let name = Name::new("sales", "book");
    let ask = Ask { names: vec![name.clone()], state_of: Some(name.clone()) };
    let builder = Consumer::builder("sales", "book").redis_url(shop.server.url()).handler(Book::default());
    let book = builder.spawn().await.unwrap();
    eventually("it is handled", async || book.stats().processed == 1).await;
    let small = State::Fields(vec![("paid".into(), r#"{"ada":"1"}"#.into())]);
    assert_eq!(shop.watch.round(&ask, Some(&[])).await.unwrap().state, Some((name.clone(), small)));
    let () = shop.redis.xadd("sales", "*", &[("customer", "eve"), ("cents", &"x".repeat(300 << 10))]).await.unwrap();
    let reads = shop.calls("hgetall").await;
    eventually("it is handled", async || book.stats().processed == 2).await;
    assert_eq!(shop.watch.round(&ask, Some(&[])).await.unwrap().state, Some((name, State::Large)));
    assert_eq!(shop.calls("hgetall").await, reads);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_or_refused_is_said_beside_the_others() {
    let mut shop = Shop::open().await;
    let sound = shop.after(1).await;
    let (gone, refused) = (name("none", "till"), name("text", "till"));
    let () = shop.redis.set("atomic-streams:{text}:till", "no record").await.unwrap();
    let round = shop.round(&[sound.clone(), gone.clone(), refused.clone()]).await.unwrap();
    let standing = |name: &Name| round.looks.iter().find(|look| look.name == *name).unwrap().seen.standing();
    assert_eq!(
        [standing(&sound), standing(&gone), standing(&refused)],
        [Standing::Released, Standing::Gone, Standing::Refused]
    );
    assert!(round.notes[0].contains("atomic-streams:{text}:till"), "{:?}", round.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_some_rights_sees_the_rest() {
    let mut shop = Shop::open().await;
    let name = shop.after(2).await;
    let rules = "ACL SETUSER viewer on >secret ~* &* +@all -pubsub -scan";
    let mut command = redis::Cmd::new();
    rules.split(' ').for_each(|part| {
        command.arg(part);
    });
    let () = command.query_async(&mut shop.redis).await.unwrap();
    let url = shop.server.url().replace("redis://", "redis://viewer:secret@");
    let (mut watch, mut search) = asking(&url, vec![]);
    let ask = Ask { names: vec![name], state_of: None };
    let round = watch.round(&ask, Some(&[])).await.unwrap();
    assert_eq!(round.looks[0].seen.record().map(|record| (record.processed, record.standbys)), Some((2, None)));
    assert!(round.notes[0].starts_with("standbys cannot be counted: "), "{:?}", round.notes);
    let why = search.run().await.unwrap_err();
    assert!(why.contains("scan"), "{why}");

    let () = shop.redis.xadd("plain", "*", &[("a", "b")]).await.unwrap();
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg("viewer").arg("+scan").arg("-xlen");
    let () = command.query_async(&mut shop.redis).await.unwrap();
    let found = search.run().await.unwrap();
    assert_eq!((found.names.len(), found.letter_streams), (1, None));
    assert!(found.notes[0].starts_with("dead letters cannot be looked for"), "{:?}", found.notes);
    let round = watch.round(&ask, None).await.unwrap();
    assert!(round.letters.is_none(), "what is not known is not 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_fails_the_round_and_the_next_one_asks_anew() {
    let mut shop = Shop::open().await;
    let name = shop.after(2).await;
    let names = [name.clone(), Name::new("none", "till")];
    shop.round(&names).await.unwrap();
    shop.server.kill();
    assert!(shop.round(&names).await.is_err() && shop.search.run().await.is_err());
    assert!(shop.round(&[]).await.is_err(), "also where there is nothing to look at");
    shop.server.restart().await;
    shop.round(&names).await.unwrap();
    assert_eq!(shop.search.run().await.unwrap().names, names[..1]);
    // Nothing was asked while it was away: the connections are broken, and nobody knows yet.
    shop.server.restart().await;
    shop.round(&names).await.unwrap();
    assert_eq!(shop.search.run().await.unwrap().names, names[..1]);
    shop.server.pause();
    let why = shop.round(&names).await.unwrap_err();
    shop.server.resume();
    assert!(why == "no answer within 5 s" || why.contains("timed out"), "{why}");
    assert_eq!(shop.record(&name).await.processed, 2);
}

/// What the documentation says of the load.
#[tokio::test(flavor = "multi_thread")]
async fn a_round_is_one_script_a_subscription_and_little_else() {
    let mut shop = Shop::open().await;
    for group in ["a", "b", "c", "d", "e", "f"] {
        shop.spawn("sales", group).await.shutdown().await.unwrap();
    }
    let () = shop.redis.xadd("dead", "*", &[("a", "b")]).await.unwrap();
    let names: Vec<Name> = ["a", "b", "c", "d", "e", "f"].iter().map(|group| name("sales", group)).collect();
    let ask = Ask { names, state_of: None };
    let streams = ["dead".to_owned()];
    shop.watch.round(&ask, Some(&streams)).await.unwrap();
    let mut counts = Vec::new();
    for _ in 0..2 {
        let mut now = Vec::new();
        for command in ["evalsha", "eval", "pubsub|numsub", "scan", "hgetall", "config|get"] {
            now.push(shop.calls(command).await);
        }
        counts.push(now);
        shop.watch.round(&ask, Some(&streams)).await.unwrap();
    }
    let grown: Vec<u64> = counts[1].iter().zip(&counts[0]).map(|(now, before)| now - before).collect();
    assert_eq!(grown, [6 + 1, 0, 1, 0, 0, 0]);
    let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut shop.redis).await.unwrap();
    assert!(clients.lines().count() <= 1 + LANES + 1, "{clients}");
}
