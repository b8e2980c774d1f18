//! A handler whose every call waits for the test to say how it ends.

use async_trait::async_trait;
use atomic_streams::{Fields, Handler, HandlerError, HandlerResult, Message, Persistable, Transaction};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::site::LIMIT;

/// Publishes each entry to `out` and counts it, then waits.
#[derive(Persistable)]
pub(crate) struct Puppet {
    count: i64,
    #[persist(skip)]
    calls: mpsc::UnboundedSender<Call>,
}

/// A running call of the handler.
pub(crate) struct Call {
    pub(crate) message: Message,
    pub(crate) fields: Fields,
    /// What the state field is in this call.
    pub(crate) count: i64,
    end: oneshot::Sender<End>,
}

enum End {
    Done,
    Failed(HandlerError),
    Panic(String),
}

/// The calls, in order.
pub(crate) struct Calls(mpsc::UnboundedReceiver<Call>);

pub(crate) fn puppet() -> (Puppet, Calls) {
    let (calls, receiver) = mpsc::unbounded_channel();
    (Puppet { count: 0, calls }, Calls(receiver))
}

impl Calls {
    pub(crate) async fn next(&mut self) -> Call {
        let call = timeout(LIMIT, self.0.recv()).await;
        call.expect("the handler was not called within 20 s").expect("the handler is gone")
    }

    /// Waits until the consumer has dropped its handler.
    pub(crate) async fn end(mut self) {
        let call = timeout(LIMIT, self.0.recv()).await.expect("the handler was not dropped within 20 s");
        assert!(call.is_none(), "the handler was called");
    }

    /// A call that has come already.
    pub(crate) fn waiting(&mut self) -> Option<Call> {
        self.0.try_recv().ok()
    }
}

impl Call {
    pub(crate) fn done(self) {
        self.end(End::Done);
    }

    pub(crate) fn fail(self, error: impl Into<HandlerError>) {
        self.end(End::Failed(error.into()));
    }

    pub(crate) fn panic(self, text: &str) {
        self.end(End::Panic(text.to_owned()));
    }

    /// Waits until the consumer drops the call's future.
    pub(crate) async fn dropped(mut self) {
        timeout(LIMIT, self.end.closed()).await.expect("the call was not dropped within 20 s");
    }

    /// Waits until the message says that its result is not wanted any more.
    pub(crate) async fn cancelled(&self) {
        let cancelled = timeout(LIMIT, self.message.cancelled().cancelled()).await;
        cancelled.expect("the message was not cancelled within 20 s");
    }

    fn end(self, end: End) {
        // The consumer may have dropped the call meanwhile; the test will see that by the outcome.
        let _ = self.end.send(end);
    }
}

#[async_trait]
impl Handler for Puppet {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        self.count += 1;
        tx.publish("out", &fields)?;
        let (end, ended) = oneshot::channel();
        self.calls.send(Call { message: tx.message().clone(), fields, count: self.count, end })?;
        match ended.await? {
            End::Done => Ok(()),
            End::Failed(error) => Err(error),
            End::Panic(text) => panic!("{text}"),
        }
    }
}
