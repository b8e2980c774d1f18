//! Running a handler so that whatever it does, the consumer goes on.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tracing::{Span, error};

use crate::handler::{HandlerError, HandlerResult};
use crate::targets;

/// A panic of the user's code, as the error that it is taken for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Panicked(pub String);

/// Runs code of the user that is not async: `Serialize`, `Deserialize`, `Default`, `Display`, `Drop`.
pub(super) fn guard<T>(what: &str, run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| format!("{what} panicked: {}", words(&*panic)))
}

/// Runs a whole task; should it panic all the same, that is an error too.
pub(super) async fn caught<T>(what: &str, task: impl Future<Output = T>) -> Result<T, String> {
    let mut task = pin!(task);
    std::future::poll_fn(|context| match guard(what, || task.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// A call of a handler whose panics are errors, and whose every step lies in its span.
///
/// After a panic the persisted fields are rolled back, as after an error; that is what makes going on safe.
pub(super) struct Held<'s, F> {
    /// There until it is dropped.
    call: Option<F>,
    span: &'s Span,
}

impl<'s, F: Future<Output = HandlerResult> + Unpin> Held<'s, F> {
    pub fn new(call: F, span: &'s Span) -> Self {
        Self { call: Some(call), span }
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

impl<F: Future<Output = HandlerResult> + Unpin> Future for Held<'_, F> {
    type Output = HandlerResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<HandlerResult> {
        let span = self.span;
        let Some(call) = &mut self.call else { return Poll::Pending };
        match guard("the handler", || span.in_scope(|| Pin::new(call).poll(context))) {
            Ok(poll) => poll,
            Err(panic) => Poll::Ready(Err(HandlerError::from(Panicked(panic)))),
        }
    }
}

/// A call that is given up drops what it holds, and that is code of the user too.
impl<F> Drop for Held<'_, F> {
    fn drop(&mut self) {
        let call = self.call.take();
        let _entered = self.span.enter();
        if let Err(panic) = guard("dropping what the handler held", || drop(call)) {
            error!(name: "entry.drop_panicked", target: targets::ENTRY, error = panic, "a handler was given up");
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_may_panic() {
        let call = Box::pin(async {
            let _bomb = Bomb;
            std::future::pending().await
        });
        let span = Span::none();
        let mut call = Held::new(call, &span);
        assert!(call.now().await.is_none());
        drop(call);
    }

    #[tokio::test]
    async fn a_task_that_panics_ends_with_words() {
        assert_eq!(caught("it", async { 7 }).await, Ok(7));
        let panics = async {
            tokio::task::yield_now().await;
            panic!("somehow");
        };
        assert_eq!(caught::<()>("it", panics).await, Err("it panicked: somehow".to_owned()));
    }
}
