//! docs/troubleshooting.md and docs/moving-over.md: their commands say what stands there, as on the page of the command line, and
//! the errors that they show are those that consumers end with.

use std::fs;
use std::path::{Path, PathBuf};

use atomic_streams::{
    Consumer, ConsumerBuilder, Error, Fields, Handler, HandlerError, HandlerResult, Persistable, Status, Transaction,
    async_trait, handler_fn,
};
use redis::AsyncCommands;
use regex::Regex;
use support::eventually;

use crate::importing::recorded;
use crate::page::{check, comparable};
use crate::shop::{INVENTORY, Shop};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// A busy shop, in which besides a consumer cannot get past the third sale.
async fn in_trouble() -> Shop {
    let mut shop = Shop::busy().await;
    let shipping = Consumer::builder("sales", "shipping")
        .redis_url(shop.server.url())
        .owner_name("dock")
        .handler(handler_fn(async |sale: Fields, _: &mut Transaction| match sale.get_str("quantity") {
            Some("-1") => Err(HandlerError::from("cannot ship -1 of A-1")),
            _ => Ok(()),
        }))
        .spawn()
        .await
        .unwrap();
    let status = shipping.status();
    eventually("it is stuck", async || matches!(*status.borrow(), Status::Retrying { .. })).await;
    shop.until_at("shipping", 2).await;
    shop.running.push(shipping);
    shop
}

#[tokio::test]
async fn troubleshooting_shows_what_there_is_to_see() {
    check(&docs("troubleshooting.md"), &in_trouble().await, 10).await;
}

#[tokio::test]
async fn moving_over_shows_what_there_is_to_see() {
    let (shop, _) = recorded().await;
    check(&docs("moving-over.md"), &shop, 4).await;
}

/// What became of the inventory, without a word of how.
#[derive(Persistable, Default)]
struct Later {
    sold: u64,
    price: f64,
}

#[async_trait]
impl Handler for Later {
    type Message = Fields;

    async fn handle(&mut self, _: Fields, _: &mut Transaction) -> HandlerResult {
        Ok(())
    }
}

fn stateless(url: &str, group: &str) -> ConsumerBuilder<impl Handler + use<>> {
    let builder = Consumer::builder("sales", group).redis_url(url);
    builder.handler(handler_fn(async |_: Fields, _: &mut Transaction| Ok(())))
}

/// The errors that the pages show.
async fn errors(shop: &mut Shop) -> Vec<(&'static str, Error)> {
    let url = shop.server.url().to_owned();
    let later = Consumer::builder("sales", INVENTORY).redis_url(&url).handler(Later::default()).spawn();
    let mut errors = vec![("troubleshooting.md", later.await.unwrap_err())];
    let () = shop.redis.del("atomic-streams:{sales}:audit").await.unwrap();
    errors.push(("troubleshooting.md", stateless(&url, "audit").spawn().await.unwrap_err()));
    let () = shop.redis.xgroup_create("sales", "workers", "0").await.unwrap();
    let words = ["GROUP", "workers", "one", "COUNT", "2", "STREAMS", "sales", ">"];
    let _: redis::Value = redis::cmd("XREADGROUP").arg(&words).query_async(&mut shop.redis).await.unwrap();
    let in_use = stateless(&url, "workers").adopt_group().spawn().await.unwrap_err();
    errors.extend([("troubleshooting.md", in_use.clone()), ("moving-over.md", in_use)]);
    let rule = ["SETUSER", "shop", "on", ">secret", "~*", "&*", "+@all", "-xgroup|setid"];
    let () = redis::cmd("ACL").arg(&rule).query_async(&mut shop.redis).await.unwrap();
    let limited = format!("redis://shop:secret@{}/", shop.server.addr());
    errors.push(("troubleshooting.md", stateless(&limited, "new").spawn().await.unwrap_err()));
    errors
}

#[tokio::test]
async fn the_errors_on_the_pages_are_those_that_consumers_end_with() {
    let mut shop = Shop::busy().await;
    let id = Regex::new(r"\b\d{13}-\d+\b").unwrap();
    let plain = |text: &str| id.replace_all(&comparable(text), "ID").split_whitespace().collect::<Vec<_>>().join(" ");
    let mut missing = Vec::new();
    for (page, error) in errors(&mut shop).await {
        let error = error.to_string();
        if !plain(&fs::read_to_string(docs(page)).unwrap()).contains(&plain(&error)) {
            missing.push(format!("{page}:\n{error}"));
        }
    }
    assert!(missing.is_empty(), "these are not there:\n{}", missing.join("\n\n"));
}
