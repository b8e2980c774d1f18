//! Dead letters, looked for and counted.

use atomic_streams::DeadLetters;
use atomic_streams::redis::AsyncCommands;

use super::super::letters::MAX_LETTERS;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_found_counted_and_shown_with_their_errors() {
    let mut shop = Shop::open().await;
    let parking = OnFailure::park("sales:dead", "customer");
    let consumer = shop.builder("sales", "till").on_failure(parking).spawn().await.unwrap();
    let other = shop.builder("rents", "till").on_failure(OnFailure::dead_letter("sales:dead")).spawn().await.unwrap();
    shop.sell("rents", "much").await;
    eventually("it is given up", async || other.stats().dead_lettered == 1).await;
    for cents in ["1", "a lot", "2"] {
        shop.sell("sales", cents).await;
    }
    eventually("two are given up", async || consumer.stats().dead_lettered == 2).await;
    let found = shop.search.run().await.unwrap();
    assert_eq!(found.names, [name("rents", "till"), name("sales", "till")]);
    assert_eq!((found.letter_streams, found.notes.len()), (Some(vec!["sales:dead".to_owned()]), 0));

    assert_eq!(shop.record(&name("sales", "till")).await.parked_keys, 1);
    let letters = shop.letters(&["sales:dead"]).await;
    let of = |group: &str| &letters[&name(group, "till")];
    assert_eq!((of("rents").count, of("sales").count, of("sales").may_be_more), (1, 2, false));
    assert_eq!(of("sales").streams, ["sales:dead"]);
    let [behind, failed] = of("sales").newest.as_slice() else { panic!("{letters:?}") };
    assert_eq!((failed.error.as_str(), failed.attempts, failed.is_behind), ("cents are a number", 1, false));
    assert_eq!((behind.is_behind, behind.key.as_deref()), (true, Some("ada")));
    assert!(failed.time_ms > 1_700_000_000_000);

    // Looked at in full again only after a change, whichever it is.
    let reads = shop.calls("xrevrange").await;
    assert_eq!(shop.letters(&["sales:dead"]).await, letters);
    assert_eq!(shop.calls("xrevrange").await, reads + 1);
    let id = of("rents").newest[0].id;
    assert!(DeadLetters::new(shop.server.url(), "sales:dead").unwrap().remove(id).await.unwrap());
    let left = shop.letters(&["sales:dead"]).await;
    assert_eq!(left.keys().collect::<Vec<_>>(), [&name("sales", "till")]);
    assert_eq!(shop.letters(&[]).await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_dead_letters_the_newest_are_counted_and_what_they_are_about_stays_where_it_is() {
    let mut shop = Shop::open().await;
    let consumer = shop.builder("sales", "till").on_failure(OnFailure::dead_letter("dead")).spawn().await.unwrap();
    let large = "x".repeat(100_000);
    let many = MAX_LETTERS + 5;
    for _ in 0..many {
        shop.sell("sales", "none").await;
    }
    shop.sell("sales", &large).await;
    eventually("all are given up", async || consumer.stats().dead_lettered == many as u64 + 1).await;
    let before = shop.sent_bytes().await;
    let letters = shop.letters(&["dead"]).await.remove(&name("sales", "till")).unwrap();
    assert_eq!((letters.count, letters.may_be_more, letters.newest.len()), (MAX_LETTERS as u64, true, 20));
    let sent = shop.sent_bytes().await - before;
    assert!(sent < 100_000, "the server sent {sent} bytes");
    consumer.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_like_a_dead_letter_and_what_is_not_is_told_apart() {
    let mut shop = Shop::open().await;
    let () = shop.redis.xadd("plain", "*", &[("a", "b")]).await.unwrap();
    let () = shop.redis.xadd("bad", "*", &[("@stream", "s"), ("@fields", "0")]).await.unwrap();
    let () = shop.redis.set("text", "x").await.unwrap();
    let own = [("@fields", "x"), ("a", "b"), ("@stream", "s"), ("@group", "g"), ("@id", "5-1")];
    let about = [("@time_ms", "7"), ("@attempts", "3"), ("@error", "no"), ("@fields", "2")];
    let () = shop.redis.xadd("good", "*", &[&own[..], &about[..]].concat()).await.unwrap();
    let found = shop.search.run().await.unwrap();
    assert_eq!(found.letter_streams, Some(vec!["good".to_owned()]));
    let letters = shop.letters(&["good", "plain", "bad", "none"]).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[&name("s", "g")].newest[0].entry, EntryId::new(5, 1));
    let round = shop.watch.round(&Ask::default(), Some(&["text".to_owned()])).await.unwrap();
    assert_eq!(round.notes, ["dead letters in text: it holds a string"]);

    let (_, mut search) = asking(shop.server.url(), vec!["named".to_owned()]);
    assert_eq!(search.run().await.unwrap().letter_streams, Some(vec!["named".to_owned()]), "it is not looked for");
}
