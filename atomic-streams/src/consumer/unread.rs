//! Tells of entries that went from the stream before they were read.

use std::sync::Arc;

use tracing::warn;

use super::{Settings, Shared};
use crate::protocol::{Cause, Loss, Owned, Renewed};
use crate::targets;

/// What is lost is counted, and said in the log, whichever reply shows it first.
#[derive(Clone)]
pub(super) struct Unread {
    stream: Arc<str>,
    group: Arc<str>,
    shared: Arc<Shared>,
}

impl Unread {
    pub fn new(settings: &Settings, shared: &Arc<Shared>) -> Self {
        Self { stream: Arc::clone(&settings.stream), group: Arc::clone(&settings.group), shared: Arc::clone(shared) }
    }

    pub fn attached(&self, owned: &Owned) {
        let loss = self.shared.losses().attached(owned);
        self.tell(loss);
    }

    pub fn renewed(&self, renewed: &Renewed) {
        let loss = self.shared.losses().renewed(renewed);
        self.tell(loss);
    }

    fn tell(&self, loss: Option<Loss>) {
        let (stream, group) = (&*self.stream, &*self.group);
        match loss {
            None => {}
            Some(Loss::Anew) => {
                warn!(
                    name: "stream.replaced",
                    target: targets::STREAM,
                    stream,
                    group,
                    "the stream was made anew: it has counted fewer entries than were read"
                );
            }
            Some(Loss::Entries { count: entries, cause, all }) => {
                self.shared.count_vanished(entries, cause);
                let may_be_more = !all;
                match cause {
                    Cause::Trimmed => warn!(
                        name: "unread.trimmed",
                        target: targets::STREAM,
                        stream,
                        group,
                        entries,
                        may_be_more,
                        "entries were trimmed before they were read, and are lost to this group: {REMEDY}"
                    ),
                    Cause::Deleted => warn!(
                        name: "unread.deleted",
                        target: targets::STREAM,
                        stream,
                        group,
                        entries,
                        may_be_more,
                        "entries were deleted one by one (XDEL) before they were read"
                    ),
                    Cause::Either => warn!(
                        name: "unread.vanished",
                        target: targets::STREAM,
                        stream,
                        group,
                        entries,
                        may_be_more,
                        "entries were trimmed or deleted before they were read, and are lost to this group: {REMEDY}"
                    ),
                }
            }
        }
    }
}

/// What to do against it.
pub(super) const REMEDY: &str = "raise the MAXLEN with which producers trim, or trim with `Retention`, which leaves what a group \
                                 has yet to read";
