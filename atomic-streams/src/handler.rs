//! What users write: the function that handles one entry.

mod function;
mod result;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

pub use function::{AsyncHandlerFn, HandlerFn, handler_fn};
pub use result::{HandlerError, HandlerResult, Retry};

use crate::persist::Persistable;
use crate::transaction::Transaction;

/// Handles the entries of a stream, one at a time, in order.
///
/// The struct's own fields are its state: they are restored before the first call and committed after every successful
/// one, together with the acknowledgement of the entry and everything that was staged in the transaction.
///
/// A handler need not be deterministic, and it need not clean up after itself: when it returns an error or panics, its
/// persisted fields and the transaction are as they were before the call. Effects outside Redis (a mail, a call to
/// another service) are not part of the commit and may be repeated after a failure; [`Message::idempotency_key`] is for
/// those.
///
/// ```
/// use atomic_streams::{Handler, HandlerResult, Persistable, Transaction, async_trait};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Sale {
///     quantity: i64,
/// }
///
/// #[derive(Persistable)]
/// struct Stock {
///     #[persist(default = 100)]
///     left: i64,
/// }
///
/// #[async_trait]
/// impl Handler for Stock {
///     type Message = Sale;
///
///     async fn handle(&mut self, sale: Sale, _tx: &mut Transaction) -> HandlerResult {
///         self.left -= sale.quantity;
///         Ok(())
///     }
/// }
/// ```
///
/// [`Message::idempotency_key`]: crate::Message::idempotency_key
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle entries: it does not implement `Handler`",
    label = "this is not a handler",
    note = "write `#[async_trait] impl Handler for {Self}`, or pass a stateless `handler_fn(async |message: M, tx: &mut Transaction| {{ … }})`"
)]
#[async_trait]
pub trait Handler: Persistable + Send {
    /// What an entry is decoded into: any serde type, or [`Fields`](crate::Fields) for the entry as it is.
    type Message: DeserializeOwned + Send;

    /// Handles one entry.
    ///
    /// # Cancel safety
    /// The future may be dropped where it awaits, when shutdown or the loss of ownership outlasts the grace period. Nothing
    /// of it is committed then, and the entry is handled again.
    async fn handle(&mut self, message: Self::Message, tx: &mut Transaction) -> HandlerResult;
}
