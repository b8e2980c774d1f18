//! Collections in a handler under test: changed, rolled back, lost and found again.

use std::collections::BTreeMap;

use atomic_streams::{
    Handler, HandlerResult, Persistable, Sent, StateDeque, StateMap, StateSet, TestDriver, Transaction, async_trait,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Sale {
    sku: String,
    quantity: i64,
}

#[derive(Persistable)]
struct Shop {
    #[persist(default)]
    stock: StateMap<String, i64>,
    #[persist(default)]
    seen: StateSet<String>,
    #[persist(default)]
    last: StateDeque<i64>,
    #[persist(default = 0)]
    sales: u64,
}

#[async_trait]
impl Handler for Shop {
    type Message = Sale;

    async fn handle(&mut self, sale: Sale, _tx: &mut Transaction) -> HandlerResult {
        self.sales += 1;
        let stock = self.stock.get_or_insert_with(sale.sku.clone(), || 10);
        *stock -= sale.quantity;
        let left = *stock;
        self.seen.insert(sale.sku.clone());
        self.last.push_back(sale.quantity);
        if self.last.len() > 3 {
            self.last.pop_front();
        }
        if left == 0 {
            self.stock.remove(&sale.sku);
        }
        if left < 0 { Err("nothing is left".into()) } else { Ok(()) }
    }
}

fn shop() -> Shop {
    Shop { stock: StateMap::new(), seen: StateSet::new(), last: StateDeque::new(), sales: 0 }
}

async fn sell(driver: &mut TestDriver<Shop>, sku: &str, quantity: i64) -> Sent {
    driver.send(&Sale { sku: sku.into(), quantity }).await.unwrap()
}

fn stock(driver: &TestDriver<Shop>) -> BTreeMap<String, i64> {
    driver.state().unwrap().stock.iter().map(|(sku, left)| (sku.clone(), *left)).collect()
}

#[tokio::test]
async fn entries_are_stored_and_restored_one_by_one() {
    let mut driver = TestDriver::new(shop).await.unwrap();
    for (sku, quantity) in [("a", 1), ("b", 2), ("a", 3), ("c", 10), ("b", 1)] {
        assert_eq!(sell(&mut driver, sku, quantity).await, Sent::Committed);
    }
    for _ in 0..2 {
        assert_eq!(stock(&driver), BTreeMap::from([("a".to_owned(), 6), ("b".to_owned(), 7)]));
        let state = driver.state().unwrap();
        assert_eq!((state.seen.len(), state.sales), (3, 5));
        assert_eq!(state.last.iter().copied().collect::<Vec<_>>(), [3, 10, 1]);
        driver.crash_and_restart().await.unwrap();
    }
    driver.lose_next_reply();
    sell(&mut driver, "a", 1).await;
    sell(&mut driver, "a", 2).await;
    assert_eq!(stock(&driver)["a"], 3);
}

#[tokio::test]
async fn a_failed_handler_leaves_no_trace() {
    let mut driver = TestDriver::new(shop).await.unwrap();
    sell(&mut driver, "a", 3).await;
    assert!(matches!(sell(&mut driver, "a", 8).await, Sent::Blocked { .. }));
    let state = driver.state().unwrap();
    assert_eq!((state.sales, state.last.len(), *state.stock.get("a").unwrap()), (1, 1, 7));
}

#[derive(Serialize, Deserialize)]
struct Order {
    what: String,
}

/// Takes its map out of its field and puts it back, or another one.
#[derive(Persistable, Default)]
struct Juggler {
    #[persist(default)]
    map: StateMap<String, u64>,
    #[persist(default)]
    other: StateMap<String, u64>,
    /// Neither stored nor taken back.
    #[persist(skip)]
    parked: Option<StateMap<String, u64>>,
}

#[async_trait]
impl Handler for Juggler {
    type Message = Order;

    async fn handle(&mut self, order: Order, tx: &mut Transaction) -> HandlerResult {
        let attempt = tx.message().attempt();
        let count = self.map.len() as u64;
        match order.what.as_str() {
            "add" => drop(self.map.insert(format!("{count}"), count)),
            "replace" => self.map = [("new".to_owned(), 1)].into_iter().collect(),
            "clone" => self.map = self.map.clone(),
            "swap" => std::mem::swap(&mut self.map, &mut self.other),
            "park" => self.parked = Some(std::mem::take(&mut self.map)),
            "unpark" => self.map = self.parked.take().ok_or("nothing is parked")?,
            "park and unpark" => {
                let mut map = std::mem::take(&mut self.map);
                map.insert("parked".to_owned(), 7);
                self.map = map;
            }
            "replace, and fail once" => {
                self.map = [("failed".to_owned(), u64::from(attempt))].into_iter().collect();
                if attempt == 1 {
                    return Err("once".into());
                }
            }
            other => return Err(other.to_owned().into()),
        }
        Ok(())
    }
}

#[tokio::test]
async fn another_collection_in_the_field_takes_the_place_of_what_is_stored() {
    let mut driver = TestDriver::new(Juggler::default).await.unwrap();
    for (what, map, other) in [
        ("add", "0=0", ""),
        ("add", "0=0 1=1", ""),
        ("clone", "0=0 1=1", ""),
        ("add", "0=0 1=1 2=2", ""),
        ("swap", "", "0=0 1=1 2=2"),
        ("add", "0=0", "0=0 1=1 2=2"),
        ("swap", "0=0 1=1 2=2", "0=0"),
        ("park", "", "0=0"),
        ("add", "0=0", "0=0"),
        ("unpark", "0=0 1=1 2=2", "0=0"),
        ("park and unpark", "0=0 1=1 2=2 parked=7", "0=0"),
        ("replace", "new=1", "0=0"),
        ("add", "1=1 new=1", "0=0"),
        ("replace, and fail once", "failed=2", "0=0"),
        ("add", "1=1 failed=2", "0=0"),
    ] {
        driver.add(&Order { what: what.to_owned() }).await.unwrap();
        support::eventually("it is committed", async || driver.settle().await.unwrap() == Sent::Committed).await;
        let shown = |map: &StateMap<String, u64>| {
            let mut entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}={value}")).collect();
            entries.sort();
            entries.join(" ")
        };
        let state = driver.state().unwrap();
        assert_eq!((shown(&state.map).as_str(), shown(&state.other).as_str()), (map, other), "{what}");
    }
    driver.crash_and_restart().await.unwrap();
    assert_eq!(driver.state().unwrap().map.get("failed"), Some(&2));
}
