//! A replica takes over, with everything or without the newest writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atomic_streams::{Consumer, Fields, Transaction, handler_fn};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use support::{Existing, Fault, Server};
use tokio::time::sleep;

use super::Failure;
use super::server::{rewrite_append_only_file, run};
use crate::connect::connect;
use crate::schedule::{Kind, Planned};
use crate::world::World;

const MARKER: &str = "soak:marker";

pub async fn inject(world: &World, planned: &Planned) -> Result<(), Failure> {
    let old = world.primary().await;
    // By command: started as a replica, it would be one again after a restart.
    let new = world.server().start().await;
    let mut to_old = connect(old.url()).await?;
    let mut to_new = connect(new.url()).await?;
    run(&mut to_new, &format!("REPLICAOF 127.0.0.1 {}", old.port())).await?;
    new.linked().await;

    let checker = world.checker.lock().await;
    world.note(planned);
    // All that was checked is on the replica from here on.
    let marker = planned.dice.to_string();
    let () = to_old.set(MARKER, &marker).await?;
    let begin = Instant::now();
    while to_new.get::<_, Option<String>>(MARKER).await?.as_ref() != Some(&marker) {
        patience(begin, "the replica has the newest writes").await?;
    }

    match planned.kind {
        Kind::Failover => {
            run(&mut to_old, "CLIENT PAUSE 20000 WRITE").await?;
            let end = offset(&mut to_old, "master_repl_offset:").await?;
            let begin = Instant::now();
            while offset(&mut to_new, "slave_repl_offset:").await? < end {
                patience(begin, "the replica has everything").await?;
            }
            run(&mut to_new, "REPLICAOF NO ONE").await?;
            load_scripts(&new).await?;
            let existing = [Existing::Cut, Existing::Move, Existing::MoveAndResend][planned.dice as usize % 3];
            switch(world, &old, &new, existing);
        }
        Kind::FailoverZombie => {
            run(&mut to_new, "REPLICAOF NO ONE").await?;
            load_scripts(&new).await?;
            world.crew.iter().for_each(|worker| worker.proxy.retarget(new.addr(), Existing::Stay));
            world.url.send_replace(new.url().to_owned());
            sleep(planned.lasts).await;
            old.kill();
        }
        kind => {
            run(&mut to_new, "REPLICAOF NO ONE").await?;
            load_scripts(&new).await?;
            // What is written now is lost.
            sleep(planned.lasts).await;
            let existing = match (kind, planned.dice % 2) {
                (Kind::FailoverLossy, _) => Existing::Cut,
                (_, 0) => Existing::Move,
                (_, _) => Existing::MoveAndResend,
            };
            switch(world, &old, &new, existing);
        }
    }
    world.url.send_replace(new.url().to_owned());
    *world.primary.write().await = Arc::new(new);
    drop(checker);
    // The file has what the replica was given only when it has been written anew.
    rewrite_append_only_file(world).await
}

/// To the workers the server stands still for a moment; then it is another one.
fn switch(world: &World, old: &Server, new: &Server, existing: Existing) {
    world.all_proxies(Fault::BlackHole);
    old.kill();
    world.crew.iter().for_each(|worker| worker.proxy.retarget(new.addr(), existing));
    world.all_proxies(Fault::Pass);
}

/// A consumer of another stream leaves the scripts there: without them, no commit could harm the new primary anyway.
async fn load_scripts(server: &Server) -> Result<(), Failure> {
    let handler = handler_fn(async |_: Fields, _: &mut Transaction| Ok(()));
    let builder = Consumer::builder("elsewhere", "soak").redis_url(server.url()).handler(handler);
    let outcome = async { builder.spawn().await?.shutdown().await };
    outcome.await.map(drop).map_err(|error| Failure::Stuck(format!("the scripts cannot be loaded: {error}")))
}

async fn offset(redis: &mut MultiplexedConnection, name: &str) -> Result<u64, Failure> {
    let info: String = redis::cmd("INFO").arg("replication").query_async(redis).await?;
    let offset = info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    offset.ok_or_else(|| Failure::Stuck(format!("the server does not say its {name}")))
}

/// A little of the time that a replica has to get what it lacks.
async fn patience(begin: Instant, what: &str) -> Result<(), Failure> {
    if begin.elapsed() > Duration::from_secs(20) {
        return Err(Failure::Stuck(format!("waited 20 s in vain for this: {what}")));
    }
    sleep(Duration::from_millis(5)).await;
    Ok(())
}
