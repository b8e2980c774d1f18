//! Handlers without state, as functions.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use super::Handler;
use super::result::HandlerResult;
use crate::persist::{Persistable, Schema, StateError};
use crate::transaction::Transaction;

/// Makes a stateless handler of an async closure or function.
///
/// ```
/// use atomic_streams::{Transaction, handler_fn};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize, Serialize)]
/// struct Order {
///     country: String,
/// }
///
/// let router = handler_fn(async |order: Order, tx: &mut Transaction| {
///     tx.publish(format!("orders:{}", order.country), &order)?;
///     Ok(())
/// });
/// # let _ = router;
/// ```
///
/// The closure's arguments need their types, and it cannot hold on to anything of its surroundings: a handler that needs
/// a client or a counter is a struct that implements [`Handler`].
pub fn handler_fn<M, F>(function: F) -> HandlerFn<M, F>
where
    M: DeserializeOwned + Send,
    F: for<'a> AsyncHandlerFn<'a, M>,
{
    HandlerFn { function, message: PhantomData }
}

/// The handler that [`handler_fn`] makes.
pub struct HandlerFn<M, F> {
    function: F,
    message: PhantomData<fn(M)>,
}

/// Async functions of a message and a transaction whose futures may move between threads.
///
/// Implemented for all of them; nobody implements this by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an async function of a message and a transaction",
    note = "write `handler_fn(async |message: M, tx: &mut Transaction| {{ … }})`, with both types, holding on to nothing outside; \
            a handler that needs more is a struct that implements `Handler`"
)]
pub trait AsyncHandlerFn<'a, M>:
    FnMut(M, &'a mut Transaction) -> <Self as AsyncHandlerFn<'a, M>>::Future + Send
{
    /// What a call returns.
    type Future: Future<Output = HandlerResult> + Send + 'a;
}

impl<'a, M, F, R> AsyncHandlerFn<'a, M> for F
where
    F: FnMut(M, &'a mut Transaction) -> R + Send,
    R: Future<Output = HandlerResult> + Send + 'a,
{
    type Future = R;
}

#[diagnostic::do_not_recommend]
impl<M, F> Persistable for HandlerFn<M, F> {
    fn schema() -> Schema {
        Schema::new(Vec::new())
    }

    fn snapshot(&self, _index: usize, _into: &mut Vec<u8>) -> Result<(), StateError> {
        Ok(())
    }

    fn restore(&mut self, _index: usize, _from: &[u8]) -> Result<(), StateError> {
        Ok(())
    }

    fn set_default(&mut self, _index: usize) {}
}

#[async_trait]
impl<M, F> Handler for HandlerFn<M, F>
where
    M: DeserializeOwned + Send,
    F: for<'a> AsyncHandlerFn<'a, M>,
{
    type Message = M;

    async fn handle(&mut self, message: M, tx: &mut Transaction) -> HandlerResult {
        (self.function)(message, tx).await
    }
}

impl<M, F> fmt::Debug for HandlerFn<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerFn").finish_non_exhaustive()
    }
}
