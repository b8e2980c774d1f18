//! Places on connections that wait for many idle consumers at once: who shares one, and for how long.
//!
//! A shared connection lives as long as somebody has or asks for a place on it. It waits for entries and nothing else: each
//! session reads on by itself from its first entry on, so what happens to one session is no concern of the others, except that
//! a shared connection that breaks ends the session of everybody on it.

mod waiting;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Connector, Origin};
use crate::entry::Entry;
use crate::id::EntryId;
use crate::protocol::{Failure, Subscription, Timing, Token, Transient};
use crate::store::{Place, StoreError, Watch};

/// Places on one connection at most: the server looks at each of them whenever any gets an entry.
const MAX_PLACES: usize = 256;

/// Fewer consumers than this do as well on connections of their own, and save the way back to them.
const MIN_PLACES: usize = 8;

/// The shared connections of this process.
static WATCHES: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// What is known of one shared connection.
struct Known {
    key: Key,
    hub: Hub,
}

enum Hub {
    Open(Weak<Shared>),
    /// The server refuses to read from many streams at once: it is a node of a cluster.
    Refused,
}

/// Who may share a connection: those who would make the same one, and wait for it in the same way.
#[derive(Clone)]
struct Key {
    origin: Origin,
    timing: Timing,
    /// A task lives on one runtime, and is of no use to others when that one rests or ends.
    runtime: runtime::Id,
}

impl Key {
    fn is(&self, other: &Self) -> bool {
        self.runtime == other.runtime && self.timing == other.timing && self.origin.is_surely(&other.origin)
    }
}

/// What all who are on one connection hold: with the last of them it ends.
struct Shared {
    requests: mpsc::UnboundedSender<Request>,
    _ends: DropGuard,
}

/// A session that asks for a place.
struct Request {
    subscription: Subscription,
    token: Token,
    after: EntryId,
    given: oneshot::Sender<()>,
    outcome: oneshot::Sender<Outcome>,
}

type Outcome = Result<Vec<Entry>, StoreError>;

/// What a session holds of its place.
struct Held {
    place: Place,
    given: oneshot::Receiver<()>,
    outcome: oneshot::Receiver<Outcome>,
    _shared: Arc<Shared>,
}

/// Asks for a place on the connection that is shared by those who would connect as `connector` does.
pub(super) fn ask(
    connector: &Arc<Connector>,
    subscription: &Subscription,
    token: &Token,
    after: EntryId,
) -> Option<Box<dyn Watch>> {
    let origin = connector.origin().clone();
    if !origin.is_surely(&origin) || connector.redirect().is_some() {
        return None;
    }
    let runtime = runtime::Handle::try_current().ok()?.id();
    let shared = join(connector, Key { origin, timing: connector.timing(), runtime })?;
    let (given, heard) = oneshot::channel();
    let (outcome, awaited) = oneshot::channel();
    let request = Request { subscription: subscription.clone(), token: token.clone(), after, given, outcome };
    // A connection that has ended meanwhile drops the request, which is then refused.
    let _ = shared.requests.send(request);
    Some(Box::new(Held { place: Place::Asked, given: heard, outcome: awaited, _shared: shared }))
}

/// Finds a connection with room, or begins one.
fn join(connector: &Arc<Connector>, key: Key) -> Option<Arc<Shared>> {
    let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    watches.retain(|known| match &known.hub {
        Hub::Open(shared) => shared.strong_count() > 0,
        Hub::Refused => true,
    });
    for known in watches.iter().filter(|known| known.key.is(&key)) {
        match &known.hub {
            Hub::Refused => return None,
            Hub::Open(shared) => {
                let shared = shared.upgrade();
                // One more than there are: this one counts itself.
                let open = shared.filter(|it| Arc::strong_count(it) <= MAX_PLACES && !it.requests.is_closed());
                if open.is_some() {
                    return open;
                }
            }
        }
    }
    let (requests, asked) = mpsc::unbounded_channel();
    let deserted = CancellationToken::new();
    let shared = Arc::new(Shared { requests, _ends: deserted.clone().drop_guard() });
    watches.push(Known { key: key.clone(), hub: Hub::Open(Arc::downgrade(&shared)) });
    let connector = Arc::clone(connector);
    tokio::spawn(async move {
        let waiting = waiting::run(&connector, asked);
        if let Some(waiting::Ended::Refused) = deserted.run_until_cancelled(waiting).await {
            refuse(key);
        }
    });
    Some(shared)
}

/// Shares nothing on this server any more.
fn refuse(key: Key) {
    let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    watches.retain(|known| !known.key.is(&key));
    watches.push(Known { key, hub: Hub::Refused });
}

#[async_trait]
impl Watch for Held {
    fn place(&mut self) -> Place {
        if self.place == Place::Asked {
            self.place = match self.given.try_recv() {
                Ok(()) => Place::Given,
                Err(oneshot::error::TryRecvError::Empty) => Place::Asked,
                Err(oneshot::error::TryRecvError::Closed) => Place::Refused,
            };
        }
        self.place
    }

    async fn entries(&mut self) -> Outcome {
        (&mut self.outcome).await.unwrap_or_else(|_| {
            Err(StoreError {
                failure: Failure::Transient(Transient::ConnectionLost),
                words: "the shared connection has ended".to_owned(),
                source: None,
            })
        })
    }
}
