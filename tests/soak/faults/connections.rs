//! What happens between workers and server.

use std::time::Duration;

use support::Fault;
use tokio::time::sleep;

use super::Failure;
use crate::crew::Worker;
use crate::schedule::{Kind, Planned};
use crate::world::World;

pub async fn inject(world: &World, planned: &Planned) -> Result<(), Failure> {
    let dice = planned.dice >> 8;
    // One worker, the two of a subscription, or all.
    let first = planned.dice as usize % world.crew.len();
    let struck: Vec<&Worker> = match dice % 4 {
        0 => world.crew.iter().collect(),
        1 => world.crew[first / 2 * 2..].iter().take(2).collect(),
        _ => vec![&world.crew[first]],
    };
    world.note(planned);
    let fault = match planned.kind {
        Kind::CutMidReply => Fault::CutReplyAfter(1 + (dice >> 8) as usize % 5_000),
        Kind::Latency => Fault::Latency(Duration::from_millis(2 + (dice >> 8) % 150)),
        Kind::BlackHole => Fault::BlackHole,
        Kind::DropReplies => Fault::DropReplies,
        Kind::Reset => Fault::Reset,
        _ => {
            struck.iter().for_each(|worker| worker.proxy.cut_all());
            return Ok(());
        }
    };
    struck.iter().for_each(|worker| worker.proxy.set(fault));
    sleep(planned.lasts).await;
    struck.iter().for_each(|worker| worker.proxy.set(Fault::Pass));
    Ok(())
}
