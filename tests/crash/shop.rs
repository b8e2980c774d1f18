//! The source of the sales.

use redis::aio::MultiplexedConnection;
use support::{Rng, Server};

use crate::ledger::{ALERT_AT, INITIAL_STOCK, SALES};

/// Adds sales whose quantities keep the stock near the threshold, so that about half of them raise an alert.
pub struct Shop {
    connection: MultiplexedConnection,
    rng: Rng,
    stock: i64,
    sold: usize,
}

impl Shop {
    pub async fn open(server: &Server, seed: u64) -> Self {
        Self { connection: server.connection().await, rng: Rng::new(seed), stock: INITIAL_STOCK, sold: 0 }
    }

    pub async fn sell(&mut self, count: usize) {
        const CHUNK: usize = 1_000;
        for start in (0..count).step_by(CHUNK) {
            let mut pipe = redis::pipe();
            for _ in start..count.min(start + CHUNK) {
                // Each has a name of its own: an alert that is missing cannot be made up for by one that is there twice.
                let sku = format!("sku-{}", self.sold);
                pipe.xadd(SALES, "*", &[("sku", sku), ("quantity", self.quantity().to_string())]).ignore();
                self.sold += 1;
            }
            let () = pipe.query_async(&mut self.connection).await.unwrap();
        }
    }

    pub fn sold(&self) -> usize {
        self.sold
    }

    fn quantity(&mut self) -> i64 {
        if self.sold == 0 {
            // Down to the threshold at once: alerts are wanted also where few sales are made.
            self.stock = ALERT_AT;
            return INITIAL_STOCK - ALERT_AT;
        }
        let size = 1 + self.rng.below(12) as i64;
        let sale = match self.stock - ALERT_AT {
            16.. => true,
            ..=-16 => false,
            _ => self.rng.percent(50),
        };
        let quantity = if sale { size } else { -size };
        self.stock -= quantity;
        quantity
    }
}
