//! Types inside a field that change, and states of many fields.

use std::collections::BTreeMap;

use async_trait::async_trait;
use atomic_streams::persist::{Field, Schema};
use atomic_streams::{ErrorKind, Fields, Handler, HandlerResult, Persistable, StateError, Transaction};

use crate::showing::{refused, seen, showing, start_once};
use crate::site::{Site, within};

mod before {
    #[derive(serde::Serialize, serde::Deserialize, Debug)]
    pub(super) struct Address {
        pub street: String,
        pub city: String,
        pub fax: Option<String>,
    }
}

mod after {
    #[derive(serde::Serialize, serde::Deserialize, Debug)]
    pub(super) struct Address {
        #[serde(default)]
        pub country: Vec<u8>,
        pub city: String,
        pub street: String,
    }
}

mod without_default {
    #[derive(serde::Serialize, serde::Deserialize, Debug)]
    pub(super) struct Address {
        pub country: String,
        pub city: String,
    }
}

#[derive(Persistable, Debug)]
struct Before {
    homes: BTreeMap<u8, before::Address>,
}

#[derive(Persistable, Debug)]
struct After {
    homes: BTreeMap<u8, after::Address>,
}

#[derive(Persistable, Debug)]
struct WithoutDefault {
    homes: BTreeMap<u8, without_default::Address>,
}

showing!(Before, After, WithoutDefault);

fn homes() -> Before {
    let home = before::Address { street: "Elm".into(), city: "Bonn".into(), fax: Some("1".into()) };
    Before { homes: BTreeMap::from([(7, home)]) }
}

#[tokio::test]
async fn nested_types_may_reorder_gain_and_lose_fields() {
    let mut site = Site::start().await;
    start_once(&site, homes()).await;
    let state = seen(&mut site, After { homes: BTreeMap::new() }).await;
    assert_eq!(state, r#"After { homes: {7: Address { country: [], city: "Bonn", street: "Elm" }} }"#);
    let state = seen(&mut site, Before { homes: BTreeMap::new() }).await;
    assert_eq!(state, r#"Before { homes: {7: Address { street: "Elm", city: "Bonn", fax: Some("1") }} }"#);
}

#[tokio::test]
async fn a_nested_type_that_gains_a_field_without_default_is_refused_by_name() {
    let mut site = Site::start().await;
    start_once(&site, homes()).await;
    let error = refused(&site, WithoutDefault { homes: BTreeMap::new() }).await;
    assert_eq!(error.kind(), ErrorKind::StateDamaged);
    let text = error.to_string();
    assert!(text.contains("field `homes`") && text.contains("country"), "{text}");
    assert_eq!(site.record("@lease").await, "0");
}

const FIELDS: usize = 2_000;

/// More fields than one would write down: as a derived implementation of so many would be.
struct Wide {
    values: Vec<u64>,
}

fn names() -> &'static [String] {
    static NAMES: std::sync::LazyLock<Vec<String>> =
        std::sync::LazyLock::new(|| (0..FIELDS).map(|n| format!("field_{n}")).collect());
    &NAMES
}

impl Persistable for Wide {
    fn schema() -> Schema {
        Schema::new(names().iter().map(|name| Field::new(name, "u64")).collect())
    }

    fn snapshot(&self, index: usize, into: &mut Vec<u8>) -> Result<(), StateError> {
        rmp_serde::encode::write(into, &self.values[index]).map_err(|error| StateError::new(error.to_string()))
    }

    fn restore(&mut self, index: usize, from: &[u8]) -> Result<(), StateError> {
        self.values[index] = rmp_serde::from_slice(from).map_err(|error| StateError::new(error.to_string()))?;
        Ok(())
    }

    fn set_default(&mut self, _: usize) {}
}

#[async_trait]
impl Handler for Wide {
    type Message = Fields;

    async fn handle(&mut self, fields: Fields, tx: &mut Transaction) -> HandlerResult {
        let n: usize = fields.get_str("n").ok_or("no n")?.parse()?;
        if n == FIELDS {
            let sum: u64 = self.values.iter().sum();
            tx.publish("sums", &BTreeMap::from([("sum", sum)]))?;
            self.values.iter_mut().for_each(|value| *value += 1);
        } else {
            self.values[n] += 1_000_000;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_state_of_2_000_fields_is_written_and_restored_whole() {
    let mut site = Site::start().await;
    let handler = Wide { values: (0..FIELDS as u64).collect() };
    let first = site.consumer().handler(handler).spawn().await.unwrap();
    for n in ["0", "511", "512", "1999"] {
        site.add(&[("n", n)]).await;
    }
    site.until_processed(4).await;
    within(first.shutdown()).await.unwrap();
    assert_eq!(site.state_names().await.len(), FIELDS);

    let second = site.consumer().handler(Wide { values: vec![0; FIELDS] }).spawn().await.unwrap();
    let all = FIELDS.to_string();
    for n in [all.as_str(), all.as_str()] {
        site.add(&[("n", n)]).await;
    }
    site.until_processed(6).await;
    within(second.shutdown()).await.unwrap();
    let sum: u64 = (0..FIELDS as u64).sum::<u64>() + 4_000_000;
    assert_eq!(site.column("sums", "sum").await, [sum.to_string(), (sum + FIELDS as u64).to_string()]);
    for (n, value) in [(0, 1_000_002), (1, 3), (512, 1_000_514), (1_998, 2_000), (1_999, 1_002_001)] {
        assert_eq!(site.state(&names()[n]).await, Some(value), "{n}");
    }
}
