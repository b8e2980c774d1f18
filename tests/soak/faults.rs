//! Doing what the schedule says. Each fault mends what it broke before it ends.

mod connections;
mod failover;
mod server;
mod workers;

use std::sync::Arc;

use redis::RedisError;

use crate::schedule::{Kind, Planned};
use crate::world::World;

/// Why a fault could not be done, or showed that something is wrong.
#[derive(Debug)]
pub enum Failure {
    /// A promise is broken.
    Wrong(String),
    /// The soak itself cannot go on.
    Stuck(String),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::Stuck(format!("the server answers: {error}"))
    }
}

pub async fn inject(world: Arc<World>, planned: Planned) -> Result<(), Failure> {
    use Kind::{
        Acl, BlackHole, ClientKill, ClientPause, ClockJump, Cut, CutMidReply, DropReplies, Failover, FailoverLossy,
        FailoverUnnoticed, FailoverZombie, Latency, Oom, Reset, ScriptFlush, ServerKill, ServerRestart, ServerStop,
        WorkerKill, WorkerShutdown, WorkerStop, WorkerStopLong,
    };
    match planned.kind {
        WorkerKill | WorkerStop | WorkerStopLong | WorkerShutdown => workers::inject(&world, &planned).await,
        Cut | CutMidReply | Latency | BlackHole | DropReplies | Reset => connections::inject(&world, &planned).await,
        ServerKill | ServerRestart | ServerStop | ScriptFlush | Oom | Acl | ClientKill | ClientPause | ClockJump => {
            let _one_at_a_time = world.server_fault.lock().await;
            server::inject(&world, &planned).await
        }
        Failover | FailoverLossy | FailoverUnnoticed | FailoverZombie => {
            let _one_at_a_time = world.server_fault.lock().await;
            failover::inject(&world, &planned).await
        }
    }
}
