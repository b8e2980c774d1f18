//! The protocol as pure decisions: what to ask the server next, and what its answer means.
//!
//! No tokio, no redis, no clock: time and randomness come in as arguments. The consumer's tasks drive these types, and so
//! do the tests.
//!
//! - [`Attaching`] takes ownership: [`AttachRequest`] out, [`AttachReply`] in, [`AttachNext`] says how to go on.
//! - [`Careful`] finds the entry that kills the process.
//! - [`Parking`] knows the keys whose entries follow a dead letter.
//! - [`Sequencer`] turns what handlers did into [`Commit`]s, each following the one before.
//! - [`Fold`] makes one commit of several, where the user asked for it.
//! - [`Losses`] counts the entries that went unread, each once.
//! - [`TrimRequest`] and [`TrimReply`] are for trimming, beside all of this.
//! - [`Reconciler`] holds every reply against what was sent; the first doubt is a [`SessionEnd`].

mod adopted;
mod attaching;
mod careful;
mod failure;
mod fold;
mod head;
mod losses;
mod messages;
mod parking;
mod reconciler;
mod retaining;
mod sequencer;
mod subscription;
mod timing;

pub use adopted::{Adopted, MAX_ADOPTED};
pub use attaching::{AttachNext, Attaching, Stop};
pub use careful::Careful;
pub use failure::{Failure, Permanent, Transient};
pub use fold::Fold;
pub use head::{Head, Token};
pub use losses::{Loss, Losses};
pub use messages::{
    AttachReply, AttachRequest, Behind, Cause, Commit, Divergence, Hole, Lag, Operation, Owned, Permissions, Proof,
    Renewed, Start, Step, StepReply, Trying,
};
pub use parking::{Parking, Unparkable};
pub use reconciler::{Outcome, Reconciler, SessionEnd, not_durable};
pub use retaining::{Floors, Holder, Holding, Reader, Removal, TrimReply, TrimRequest, Trimmed};
pub use sequencer::Sequencer;
pub use subscription::Subscription;
pub use timing::Timing;
