//! Tasks of an Apalis queue, 64 at a time.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use peers::meter::Meter;
use peers::{Failure, Job, Sale, Shop};

async fn handle(sale: Sale, shop: Data<Arc<Shop>>) -> Result<(), BoxDynError> {
    shop.sell(&sale).await
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let job = Job::read()?;
    let config = Config::default().queue("sales").batch_size(256);
    let mut storage: RedisStorage<Sale> =
        RedisStorage::new(apalis_redis::connect(job.url.as_str()).await?).with_config(config);
    let sales: Vec<Sale> = job.sales().collect();
    for sales in sales.chunks(1_000) {
        storage.push_bulk(sales.to_vec()).await?;
    }

    let meter = Meter::start(&job.url).await?;
    let shop = Arc::new(Shop::open(&job).await?);
    let worker = WorkerBuilder::new("inventory")
        .backend(storage)
        .data(shop.clone())
        .concurrency(64)
        .parallelize(tokio::spawn)
        .build(handle);
    let mut worker = tokio::spawn(worker.run());
    let mut connection = peers::meter::connect(&job.url).await?;
    loop {
        let done: u64 = redis::cmd("SCARD").arg("sales:done").query_async(&mut connection).await?;
        if done >= job.entries {
            break;
        }
        if worker.is_finished() {
            (&mut worker).await??;
            return Err("the worker ended by itself".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shop.report(meter).await?;
    worker.abort();
    Ok(())
}
