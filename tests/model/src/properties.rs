//! What must always hold, and what must be possible at all.

use atomic_streams::internals::{AttachReply, Divergence, SessionEnd, Step, StepReply};
use stateright::{Model, Property};

use crate::server::Server;
use crate::worker::{Sent, Worker};
use crate::world::{Action, Exclusive, World};

/// The committed state is the fold of the entries up to the position.
pub const STATE: &str = "the state is made of the entries up to the position, each once, in order";
/// The outputs are those of the state.
pub const OUTPUTS: &str = "the outputs are those of these entries";
/// The fence.
pub const FENCE: &str = "no commit is applied under a token that is not the record's";
/// The position is real.
pub const POSITION: &str = "the position is not beyond what the stream has given out";
/// Confirmed commits stay.
pub const CONFIRMED: &str = "what was confirmed is there, unless the server has lost it";
/// Careful mode counts tries.
pub const BLAME: &str = "no entry is blamed for more crashes than it was tried before";
/// Progress.
pub const PROGRESS: &str = "a run without further faults commits everything, and ends no session without need";

impl Model for Exclusive {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.actions(self, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.act(self, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(STATE, |_, world: &World| {
                let server = world.server();
                server.expected().eq(server.state.iter().copied())
            }),
            Property::always(OUTPUTS, |_, world: &World| world.server().outputs == world.server().state),
            Property::always(FENCE, |_, world: &World| !world.server().was_stolen),
            Property::always(POSITION, |_, world: &World| is_real(world.server())),
            Property::always(CONFIRMED, |_, world: &World| {
                let position = world.server().record.map_or(0, |record| record.position);
                let stays = |worker: &Worker| {
                    worker.session.as_ref().is_none_or(|session| session.reconciler.position().ms <= position.into())
                };
                world.used.roll_backs > 0 || world.workers.iter().all(stays)
            }),
            Property::always(BLAME, |_, world: &World| world.workers.iter().all(|worker| is_just(world, worker))),
            Property::always(PROGRESS, |model: &Self, world: &World| world.finish(model).is_ok()),
        ];
        properties.extend(self.possible());
        properties
    }
}

impl Exclusive {
    /// What must happen somewhere: a model in which it cannot proves nothing.
    fn possible(&self) -> Vec<Property<Self>> {
        let adversary = &self.adversary;
        let mut possible = vec![
            Property::sometimes("everything is committed", |model: &Self, world: &World| {
                world.used.entries == model.adversary.entries && world.is_complete()
            }),
            Property::sometimes("another owner takes over", |_, world: &World| {
                world.server().record.is_some_and(|record| record.author.0 != 1)
            }),
            Property::sometimes("a commit is fenced", |model: &Self, world: &World| {
                heard(model, world).any(|reply| matches!(reply, StepReply::Fenced { .. }))
            }),
            Property::sometimes("a commit is applied after its session", |model: &Self, world: &World| {
                replies(model, world, false).any(|reply| matches!(reply, StepReply::Committed { .. }))
            }),
        ];
        if adversary.roll_backs > 0 {
            possible.extend([
                Property::sometimes("a step diverges in its sequence", |model: &Self, world: &World| {
                    diverges(model, world, Divergence::Sequence)
                }),
                Property::sometimes("a read is gone", |model: &Self, world: &World| {
                    diverges(model, world, Divergence::Gone)
                }),
                Property::sometimes("a renewal notices a roll-back", |model: &Self, world: &World| {
                    renewed(model, world, 1).any(|end| end == SessionEnd::RolledBack)
                }),
            ]);
        }
        if adversary.roll_backs > 0 && adversary.trims > 0 {
            possible.push(Property::sometimes("a read leaves a gap", |model: &Self, world: &World| {
                diverges(model, world, Divergence::Gap)
            }));
        }
        if adversary.trims > 0 {
            possible.push(Property::sometimes("an entry is trimmed unread", |_, world: &World| {
                world.server().owed().count() < world.server().added.len()
            }));
        }
        if adversary.stale_readers {
            possible.push(Property::sometimes("a stale reader is found", |model: &Self, world: &World| {
                renewed(model, world, 2).any(|end| end == SessionEnd::ReaderStale)
            }));
        }
        if adversary.late_attaches > 0 {
            possible.extend([
                Property::sometimes("a late attach is stale", |model: &Self, world: &World| {
                    late(model, world).any(|reply| matches!(reply, AttachReply::Stale { .. }))
                }),
                Property::sometimes("a late attach takes the record", |model: &Self, world: &World| {
                    late(model, world).any(|reply| matches!(reply, AttachReply::Owned(_)))
                }),
            ]);
        }
        if adversary.lone_proofs {
            possible.push(Property::sometimes("a proof goes alone", |_, world: &World| {
                any_commit(
                    world,
                    |sent| matches!(&*sent.step.0, Step::Commit(c) if c.entry.is_none() && c.proof.is_some()),
                )
            }));
        }
        if adversary.folds {
            possible.push(Property::sometimes("a step holds two entries", |_, world: &World| {
                any_commit(world, |sent| matches!(&*sent.step.0, Step::Commit(commit) if commit.entries == 2))
            }));
        }
        if adversary.crashes {
            possible.push(Property::sometimes("an entry is tried again after a crash", |_, world: &World| {
                world.server().record.and_then(|record| record.trying).is_some_and(|(_, tries)| tries > 1)
            }));
        }
        possible
    }
}

fn is_real(server: &Server) -> bool {
    server
        .record
        .is_none_or(|record| record.position <= server.last_id && usize::from(record.processed) == server.state.len())
}

/// What this process holds against the entry at hand was tried so often before.
fn is_just(world: &World, worker: &Worker) -> bool {
    let Some(item) = worker.session.as_ref().and_then(|session| session.at_hand.first()).map(|read| read.item) else {
        return true;
    };
    let tries = world.tries.iter().find(|(id, _)| *id == item.id).map_or(0, |(_, tries)| *tries);
    worker.careful.crashes(item.entry_id()) + u32::from(worker.noted().is_some()) <= tries.into()
}

/// The replies to what would come next, where they are heard or where nobody hears them.
fn replies<'a>(model: &'a Exclusive, world: &'a World, heard: bool) -> impl Iterator<Item = StepReply> + 'a {
    (0..2).flat_map(move |owner| {
        let worker = &world.workers[owner];
        let next = world.next_of(owner).map(|which| &worker.on_their_way[which]);
        let next = next.filter(move |sent| worker.hears(sent) == heard && matches!(&*sent.step.0, Step::Commit(_)));
        next.map(|sent| world.server().step(&model.checks, sent).0)
    })
}

fn heard<'a>(model: &'a Exclusive, world: &'a World) -> impl Iterator<Item = StepReply> + 'a {
    replies(model, world, true)
}

fn diverges(model: &Exclusive, world: &World, at: Divergence) -> bool {
    heard(model, world).any(|reply| matches!(reply, StepReply::Diverged { why, .. } if why == at))
}

fn any_commit(world: &World, is_it: fn(&Sent) -> bool) -> bool {
    world.workers.iter().flat_map(|worker| &worker.on_their_way).any(is_it)
}

/// How sessions with nothing on its way end if they renew so often and nothing else happens.
fn renewed<'a>(model: &'a Exclusive, world: &'a World, times: usize) -> impl Iterator<Item = SessionEnd> + 'a {
    let sessions = world.workers.iter().filter_map(|worker| worker.session.as_ref());
    sessions.filter(|session| session.in_flight == 0).filter_map(move |session| {
        let mut session = session.clone();
        (0..times).find_map(|_| {
            let sent = session.renewal();
            let reply = world.server().step(&model.checks, &sent).0;
            session.hear(&sent, reply, &model.checks).err()
        })
    })
}

fn late<'a>(model: &'a Exclusive, world: &'a World) -> impl Iterator<Item = AttachReply> + 'a {
    world.late_attaches.iter().map(|request| world.server().attach(&model.checks, request, world.used.tokens + 1).0)
}
