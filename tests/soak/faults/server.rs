//! Servers that end and come back, stand still, are full, or refuse.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

use super::Failure;
use crate::crew::USER;
use crate::schedule::{Kind, Planned};
use crate::world::World;

pub async fn inject(world: &World, planned: &Planned) -> Result<(), Failure> {
    let server = world.primary().await;
    match planned.kind {
        Kind::ServerKill => {
            let mut checker = world.checker.lock().await;
            world.note(planned);
            server.kill();
            let killed = Instant::now();
            sleep(planned.lasts).await;
            server.restart().await;
            checker.forget_newest(killed);
            drop(checker);
            rewrite_append_only_file(world).await?;
        }
        Kind::ServerRestart => {
            let _nobody_checks = world.checker.lock().await;
            world.note(planned);
            server.stop().await;
            sleep(planned.lasts).await;
            server.restart().await;
        }
        Kind::ServerStop => {
            world.note(planned);
            server.pause();
            sleep(planned.lasts).await;
            server.resume();
        }
        Kind::ClockJump => {
            let clock = match &world.clock {
                Ok(clock) => clock,
                Err(why) => {
                    world.cannot(Kind::ClockJump, why);
                    return Ok(());
                }
            };
            let _nobody_checks = world.checker.lock().await;
            world.note(planned);
            // Up to a minute in either direction.
            clock.jump((planned.dice % 121) as i64 - 60).map_err(|e| Failure::Stuck(e.to_string()))?;
            server.stop().await;
            server.restart().await;
        }
        _ => by_command(world, planned).await?,
    }
    Ok(())
}

async fn by_command(world: &World, planned: &Planned) -> Result<(), Failure> {
    let mut redis = world.redis().await?;
    world.note(planned);
    let lasts = planned.lasts;
    match planned.kind {
        Kind::ScriptFlush => run(&mut redis, "SCRIPT FLUSH").await?,
        Kind::Oom => {
            run(&mut redis, "CONFIG SET maxmemory 1mb").await?;
            sleep(lasts).await;
            run(&mut redis, "CONFIG SET maxmemory 0").await?;
        }
        Kind::Acl => {
            let withdrawn =
                ["-xadd", "-hset", "-evalsha", "-xread", "-xdel", "resetkeys ~orders ~sums ~events ~atomic-streams:*"];
            let rules = withdrawn[planned.dice as usize % withdrawn.len()];
            world.denied_until(Instant::now() + Duration::from_secs(3_600));
            run(&mut redis, &format!("ACL SETUSER {USER} {rules}")).await?;
            sleep(lasts).await;
            run(&mut redis, &format!("ACL SETUSER {USER} resetkeys ~* +@all")).await?;
            world.denied_until(Instant::now());
        }
        Kind::ClientKill => {
            // SKIPME is the default: this connection alone stays.
            for kind in ["normal", "pubsub"] {
                run(&mut redis, &format!("CLIENT KILL TYPE {kind}")).await?;
            }
        }
        _ => {
            let what = if planned.dice.is_multiple_of(2) { "ALL" } else { "WRITE" };
            run(&mut redis, &format!("CLIENT PAUSE {} {what}", lasts.as_millis())).await?;
            sleep(lasts).await;
        }
    }
    Ok(())
}

pub async fn run(redis: &mut MultiplexedConnection, command: &str) -> redis::RedisResult<()> {
    let mut words = command.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap_or_default());
    cmd.arg(words.collect::<Vec<_>>());
    cmd.query_async::<redis::Value>(redis).await.map(drop)
}

/// Without it, Redis 7.0 and 8.2 replay the beginning of a transaction in whose midst they were killed at the restart after
/// the next: they cut the file behind the last whole command, not before the transaction.
pub async fn rewrite_append_only_file(world: &World) -> Result<(), Failure> {
    let mut redis = world.redis().await?;
    let before = rewrites(&mut redis).await?;
    // One may be on its way by itself, begun with the torn file: then another follows it.
    let begin = Instant::now();
    let mut asked = false;
    while begin.elapsed() < Duration::from_secs(60) {
        if !asked {
            asked = run(&mut redis, "BGREWRITEAOF").await.is_ok();
        }
        let persistence: String = redis::cmd("INFO").arg("persistence").query_async(&mut redis).await?;
        let idle = ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0", "aof_last_bgrewrite_status:ok"];
        if asked && idle.iter().all(|line| persistence.contains(line)) && rewrites(&mut redis).await? > before {
            return Ok(());
        }
        sleep(Duration::from_millis(10)).await;
    }
    Err(Failure::Stuck("the append-only file is not rewritten within a minute".into()))
}

async fn rewrites(redis: &mut MultiplexedConnection) -> Result<u64, Failure> {
    let info: String = redis::cmd("INFO").arg("persistence").query_async(redis).await?;
    let count = info.lines().find_map(|line| line.strip_prefix("aof_rewrites:")?.trim().parse().ok());
    count.ok_or_else(|| Failure::Stuck("the server does not count its rewrites".into()))
}
