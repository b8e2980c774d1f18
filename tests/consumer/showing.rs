//! Handlers of one build after another, which show what they were given as state.

use atomic_streams::{Error, Handler};

use crate::site::{Site, within};

/// Implements `Handler` so that every entry publishes the state.
macro_rules! showing {
    ($($handler:ident),*) => {$(
        #[async_trait::async_trait]
        impl atomic_streams::Handler for $handler {
            type Message = atomic_streams::Fields;

            async fn handle(
                &mut self,
                _: atomic_streams::Fields,
                tx: &mut atomic_streams::Transaction,
            ) -> atomic_streams::HandlerResult {
                let state = &*self;
                tx.publish("seen", &std::collections::BTreeMap::from([("state", format!("{state:?}"))]))?;
                Ok(())
            }
        }
    )*};
}
pub(crate) use showing;

/// Runs a build without entries: what its start writes is in the record.
pub(crate) async fn start_once<H: Handler + 'static>(site: &Site, handler: H) {
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    within(consumer.shutdown()).await.unwrap();
}

/// Runs a build for one entry; returns what it held then.
pub(crate) async fn seen<H: Handler + 'static>(site: &mut Site, handler: H) -> String {
    let consumer = site.consumer().handler(handler).spawn().await.unwrap();
    let processed = site.processed().await;
    site.add(&[("n", "1")]).await;
    site.until_processed(processed + 1).await;
    within(consumer.shutdown()).await.unwrap();
    site.column("seen", "state").await.pop().unwrap()
}

/// Starts a build that must not start.
pub(crate) async fn refused<H: Handler + 'static>(site: &Site, handler: H) -> Error {
    let error = site.consumer().handler(handler).spawn().await.expect_err("it started");
    assert_eq!((error.stream(), error.group()), (Some("orders"), Some("tally")));
    error
}
