//! Keys that were given an expiry by hand; the store in memory has none.

use crate::bench::Bench;
use crate::kit::{Session, id, own, request, subscription};

#[tokio::test]
async fn an_attach_takes_the_expiry_from_the_record_and_a_commit_leaves_it_as_it_is() {
    let bench = Bench::redis().await;
    let (real, record) = (bench.real(), subscription().record().to_owned());
    let expires = async || real.ask::<i64>(&["TTL", &record]).await > 0;
    let mut session = Session::start(&bench).await;
    assert!(!expires().await);
    let _: u64 = real.ask(&["EXPIRE", &record, "10000"]).await;
    session.done(session.commit(1, id(1))).await;
    assert!(expires().await);
    own(&bench, &request("a", 2)).await;
    assert!(!expires().await);
}
