//! Jobs of a BullMQ queue, 64 at a time.

use bullmq::{BulkJob, Job, Queue, QueueOptions, Worker, WorkerOptions};
use peers::meter::Meter;
use peers::{Failure, Sale, Shop};

const QUEUE: &str = "sales";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let job = peers::Job::read()?;
    let connection = bullmq::options::RedisConnectionOptions { url: job.url.clone(), ..Default::default() };
    let options = QueueOptions { connection: connection.clone(), ..Default::default() };
    let queue = Queue::with_options(QUEUE, options).await?;
    let sales: Vec<Sale> = job.sales().collect();
    for sales in sales.chunks(1_000) {
        queue.add_bulk(sales.iter().map(|sale| BulkJob::new("sale", sale)).collect()).await?;
    }

    let meter = Meter::start(&job.url).await?;
    let shop = Shop::open(&job).await?;
    let handle = {
        let shop = shop.clone();
        move |job: Job, _token: bullmq::worker::CancellationToken| {
            let shop = shop.clone();
            async move {
                let failed = |error: Failure| bullmq::Error::ProcessingError(error.to_string());
                let sale: Sale = serde_json::from_value(job.data().clone())?;
                shop.sell(&sale).await.map_err(failed)?;
                Ok(serde_json::Value::Null)
            }
        }
    };
    let options = WorkerOptions { connection, concurrency: 64, ..Default::default() };
    let worker = Worker::with_options(QUEUE, handle, options).await?;
    while queue.get_completed_count().await? < job.entries {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    shop.report(meter).await?;
    worker.close(5_000).await?;
    Ok(())
}
