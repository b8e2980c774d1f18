//! The work done by a loop such as a user writes with the same client: XREADGROUP, and MULTI/EXEC for each entry.
//!
//! State, acknowledgement and alerts of an entry are atomic. Nothing fences a second process or a late resend, entries that
//! a dead consumer had read stay pending for somebody to claim, and a server that loses its newest writes is not noticed.

use redis::AsyncCommands;
use redis::streams::{StreamReadOptions, StreamReadReply};

use super::Failure;
use super::child::Job;
use super::meter::{Meter, Sample, connect};
use super::workload::ALERT_QUANTITY;

/// Works a job off. All transactions of one read go to the server in one pipeline.
pub async fn xreadgroup(job: &Job) -> Result<Sample, Failure> {
    let meter = Meter::start(&job.url).await?;
    let mut connection = connect(&job.url).await?;
    let _: () = connection.xgroup_create_mkstream(&job.stream, &job.group, "0").await?;
    let state = state_key(job);
    let mut sold: u64 = connection.hget::<_, _, Option<u64>>(&state, "sold").await?.unwrap_or(0);
    let options = StreamReadOptions::default().group(&job.group, "consumer-1").count(256).block(1_000);
    while sold < job.total {
        let read: Option<StreamReadReply> = connection.xread_options(&[&job.stream], &[">"], &options).await?;
        let mut pipeline = redis::pipe();
        for entry in read.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
            let (Some(sku), Some(quantity)) = (entry.get::<String>("sku"), entry.get::<u64>("quantity")) else {
                return Err(format!("the entry {} is no sale", entry.id).into());
            };
            sold += quantity;
            pipeline.cmd("MULTI").ignore();
            pipeline.hset(&state, "sold", sold).ignore();
            if quantity == ALERT_QUANTITY {
                pipeline.xadd(&job.alerts, "*", &[("sku", sku), ("sold", sold.to_string())]).ignore();
            }
            pipeline.xack(&job.stream, &job.group, &[&entry.id]).ignore();
            pipeline.cmd("EXEC").ignore();
        }
        pipeline.query_async::<()>(&mut connection).await?;
    }
    let sample = meter.stop().await?;
    Ok(Sample { state: connection.hget(&state, "sold").await?, ..sample })
}

/// The key of the state of those who keep it themselves.
pub fn state_key(job: &Job) -> String {
    format!("state:{}", job.group)
}
