//! A build whose struct has other fields than the record.

use atomic_streams::{ErrorKind, Persistable};

use crate::puppet::puppet;
use crate::showing::{refused, seen, showing, start_once};
use crate::site::Site;

#[derive(Persistable, Debug)]
struct Till {
    cents: i64,
    sales: u32,
}

#[derive(Persistable, Debug)]
struct WithReturns {
    cents: i64,
    sales: u32,
    #[persist(default = 7)]
    returns: u32,
    #[persist(default)]
    names: Vec<String>,
}

showing!(Till, WithReturns);

fn till() -> Till {
    Till { cents: 120, sales: 3 }
}

fn with_returns() -> WithReturns {
    WithReturns { cents: 0, sales: 0, returns: 1, names: vec!["built".into()] }
}

#[tokio::test]
async fn a_field_with_a_default_may_be_added_and_is_written_at_once() {
    let mut site = Site::start().await;
    start_once(&site, till()).await;
    start_once(&site, with_returns()).await;
    assert_eq!(site.state_names().await, ["cents", "names", "returns", "sales"]);
    assert_eq!((site.state("returns").await, site.state("cents").await), (Some(7), Some(120)));
    assert!(site.record("@schema").await.contains("\"returns\":\"u32\""));
    let state = seen(&mut site, with_returns()).await;
    assert_eq!(state, "WithReturns { cents: 120, sales: 3, returns: 7, names: [] }");
    let error = refused(&site, till()).await;
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "the older build would lose it");
}

#[derive(Persistable, Debug)]
struct OtherDefault {
    cents: i64,
    sales: u32,
    #[persist(default = 8)]
    returns: u32,
    #[persist(default)]
    names: Vec<String>,
}

#[derive(Persistable, Debug)]
struct Everything {
    cents: String,
    refunds: i64,
}

#[derive(Persistable, Debug)]
struct Renamed {
    #[persist(alias = "cents", alias = "pence")]
    minor_units: i64,
    sales: u32,
}

#[derive(Persistable, Debug)]
#[persist(removed("sales", "returns"))]
struct WithoutSales {
    cents: i64,
}

#[derive(Persistable, Debug)]
struct Reordered {
    sales: u32,
    #[persist(skip)]
    _notes: Vec<String>,
    cents: i64,
}

showing!(OtherDefault, Everything, Renamed, WithoutSales, Reordered);

#[tokio::test]
async fn a_default_that_changes_later_leaves_stored_values_alone() {
    let mut site = Site::start().await;
    start_once(&site, till()).await;
    start_once(&site, with_returns()).await;
    let handler = OtherDefault { cents: 0, sales: 0, returns: 0, names: Vec::new() };
    let state = seen(&mut site, handler).await;
    assert_eq!(state, "OtherDefault { cents: 120, sales: 3, returns: 7, names: [] }");
}

#[tokio::test]
async fn the_order_of_fields_and_skipped_ones_mean_nothing() {
    let mut site = Site::start().await;
    start_once(&site, till()).await;
    let schema = site.record("@schema").await;
    let state = seen(&mut site, Reordered { sales: 0, _notes: vec!["mine".into()], cents: 0 }).await;
    assert_eq!(state, "Reordered { sales: 3, _notes: [\"mine\"], cents: 120 }");
    assert_eq!(site.record("@schema").await, schema);
}

#[tokio::test]
async fn every_change_that_is_not_accounted_for_is_named_with_the_way_out() {
    let mut site = Site::start().await;
    start_once(&site, till()).await;
    let before = site.head().await;
    let error = refused(&site, Everything { cents: String::new(), refunds: 0 }).await;
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    let text = error.to_string();
    for words in [
        "group `tally` on stream `orders`",
        "field `refunds` is new and has no default: give it `#[persist(default = …)]`",
        "`#[persist(removed(\"sales\"))]`",
        "`#[persist(alias = \"sales\")]`",
        "field `cents` is stored as `i64` and is now `String`",
        "migrate",
    ] {
        assert!(text.contains(words), "{words:?} is missing in {text}");
    }
    assert_eq!(site.head().await, before, "the record is as it was");
    assert_eq!(seen(&mut site, till()).await, "Till { cents: 120, sales: 3 }");
}

#[tokio::test]
async fn a_build_with_another_schema_does_not_disturb_the_running_owner() {
    let mut site = Site::start().await;
    let (handler, mut calls) = puppet();
    let owner = site.consumer().handler(handler).spawn().await.unwrap();
    site.add_numbers(2).await;
    let call = calls.next().await;
    let (token, _) = site.head().await;
    let error = refused(&site, till()).await;
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert!(!call.message.cancelled().is_cancelled());
    call.done();
    calls.next().await.done();
    site.until_processed(2).await;
    assert_eq!(site.head().await.0, token);
    assert_eq!((owner.stats().recoveries, site.state("count").await), (0, Some(2)));
}

#[tokio::test]
async fn an_alias_keeps_the_value_and_removes_the_old_name() {
    let mut site = Site::start().await;
    start_once(&site, till()).await;
    start_once(&site, Renamed { minor_units: 0, sales: 0 }).await;
    assert_eq!(site.state_names().await, ["minor_units", "sales"]);
    assert_eq!(site.state("minor_units").await, Some(120));
    assert_eq!(seen(&mut site, Renamed { minor_units: 0, sales: 0 }).await, "Renamed { minor_units: 120, sales: 3 }");
}

#[tokio::test]
async fn a_field_said_to_be_removed_is_dropped_from_the_record() {
    let mut site = Site::start().await;
    start_once(&site, till()).await;
    start_once(&site, WithoutSales { cents: 0 }).await;
    assert_eq!(site.state_names().await, ["cents"]);
    assert_eq!(seen(&mut site, WithoutSales { cents: 0 }).await, "WithoutSales { cents: 120 }");
}

#[tokio::test]
async fn a_field_that_somebody_took_from_the_record_gets_its_default_again() {
    let mut site = Site::start().await;
    start_once(&site, with_returns()).await;
    let () = redis::AsyncCommands::hdel(&mut site.redis, crate::site::RECORD, &["returns", "sales"]).await.unwrap();
    let state = seen(&mut site, WithReturns { sales: 9, ..with_returns() }).await;
    assert_eq!(state, "WithReturns { cents: 0, sales: 9, returns: 7, names: [] }");
    assert_eq!((site.state("returns").await, site.state("sales").await), (Some(7), Some(9)));
}
