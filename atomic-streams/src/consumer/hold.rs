//! Running a handler so that whatever it does, the consumer goes on.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::handler::{HandlerError, HandlerResult};

/// Runs code of the user that is not async: `Serialize`, `Deserialize`, `Default`.
pub(super) fn guard<T>(what: &str, run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| format!("{what} panicked: {}", words(&*panic)))
}

/// A call of a handler whose panics are errors.
///
/// After a panic the persisted fields are rolled back, as after an error; that is what makes going on safe.
pub(super) struct Held<F> {
    call: F,
}

impl<F: Future<Output = HandlerResult> + Unpin> Held<F> {
    pub fn new(call: F) -> Self {
        Self { call }
    }

    /// Polls once: most handlers are ready at once, and need no waiting machinery.
    pub async fn now(&mut self) -> Option<HandlerResult> {
        std::future::poll_fn(|context| {
            Poll::Ready(match Pin::new(&mut *self).poll(context) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            })
        })
        .await
    }
}

impl<F: Future<Output = HandlerResult> + Unpin> Future for Held<F> {
    type Output = HandlerResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<HandlerResult> {
        match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.call).poll(context))) {
            Ok(poll) => poll,
            Err(panic) => Poll::Ready(Err(HandlerError::from(format!("the handler panicked: {}", words(&*panic))))),
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "without a message",
    }
}
