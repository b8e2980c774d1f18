//! Processes that are killed, stand still, or are asked to end.

use tokio::time::sleep;

use super::Failure;
use crate::schedule::{Kind, Planned};
use crate::worker::DENIED;
use crate::world::World;

pub async fn inject(world: &World, planned: &Planned) -> Result<(), Failure> {
    let worker = &world.crew[planned.dice as usize % world.crew.len()];
    let mut held = worker.hold().await;
    world.note(planned);
    match planned.kind {
        Kind::WorkerKill => {
            held.kill();
            sleep(planned.lasts).await;
            held.start_again();
        }
        Kind::WorkerShutdown => {
            let status = held.shut_down().await.map_err(Failure::Wrong)?;
            if let Some(status) = status
                && !status.success()
                && status.code() != Some(DENIED.into())
            {
                let what = format!("{} was asked to end, and ended with {status}:\n{}", worker.name, held.output());
                return Err(Failure::Wrong(what));
            }
            sleep(planned.lasts).await;
            held.start_again();
        }
        _ => {
            if held.pause() {
                sleep(planned.lasts).await;
                held.resume();
            }
        }
    }
    Ok(())
}
