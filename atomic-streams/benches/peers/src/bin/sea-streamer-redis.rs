//! Messages of a SeaStreamer consumer group, 64 at a time, acknowledged after every 1,000.

use peers::meter::Meter;
use peers::{Failure, Job, Sale, Shop};
use sea_streamer_redis::{AutoCommit, AutoStreamReset, RedisConsumerOptions, RedisStreamer};
use sea_streamer_types::{
    Buffer, Consumer, ConsumerGroup, ConsumerMode, ConsumerOptions, Message, Producer, StreamKey, Streamer,
};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let job = Job::read()?;
    let streamer = RedisStreamer::connect(job.url.parse()?, Default::default()).await?;
    let sales = StreamKey::new("sales")?;
    let mut producer = streamer.create_producer(sales.clone(), Default::default()).await?;
    for sale in job.sales() {
        producer.send(serde_json::to_string(&sale)?)?;
    }
    producer.flush().await?;

    let meter = Meter::start(&job.url).await?;
    let shop = Shop::open(&job).await?;
    let mut options = RedisConsumerOptions::new(ConsumerMode::LoadBalanced);
    options.set_consumer_group(ConsumerGroup::new("inventory"))?;
    options.set_auto_stream_reset(AutoStreamReset::Earliest);
    options.set_auto_commit(AutoCommit::Disabled);
    options.set_batch_size(1000);
    let mut consumer = streamer.create_consumer(&[sales], options).await?;
    let (mut handling, mut taken) = (JoinSet::new(), 0);
    for done in 1..=job.entries {
        while taken < job.entries && handling.len() < 64 {
            taken += 1;
            let (message, shop) = (consumer.next().await?, shop.clone());
            handling.spawn(async move {
                let sale: Sale = serde_json::from_str(message.message().as_str()?)?;
                shop.sell(&sale).await?;
                Ok::<_, Failure>(message)
            });
        }
        if let Some(handled) = handling.join_next().await {
            consumer.ack(&handled??)?;
        }
        if done % 1_000 == 0 || done == job.entries {
            consumer.commit()?.await?;
        }
    }
    shop.report(meter).await
}
