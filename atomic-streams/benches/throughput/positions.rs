//! Reading by position and writing in pipelines, with no more of the client than its connection: the limit, the price of a
//! script call, and the fastest that a careful user writes.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, Cmd, Pipeline, Value};

use crate::stand::Failure;
use crate::stand::by_hand::state_key;
use crate::stand::child::Job;
use crate::stand::consumer::record;
use crate::stand::meter::{Meter, Sample, connect};
use crate::stand::workload::ALERT_QUANTITY;

/// As many as the library reads at once.
const READ: usize = 512;

/// As many as the loops by hand read and write at once.
const BATCH: usize = 256;

/// What is written for the sales of one read.
#[derive(Clone, Copy, Debug)]
pub enum Writes {
    /// For each, a call of a script that does nothing, with the keys and arguments of the library's commit.
    EmptyScripts,
    /// For each, a transaction of state, position and alert.
    TransactionEach,
    /// For each, a transaction of all that the library's commit writes.
    SameEach,
    /// One transaction for all.
    TransactionForAll,
}

/// Reads everything and drops the replies as they come from the line.
pub async fn xread_raw(job: &Job) -> Result<Sample, Failure> {
    let meter = Meter::start(&job.url).await?;
    let mut reader = Reader::open(job, READ).await?;
    let mut seen = 0;
    while seen < job.entries {
        seen += reader.read().await?.len() as u64;
    }
    let sample = meter.stop().await?;
    Ok(Sample { state: Some(seen), ..sample })
}

/// Reads everything into the client's own reply type, as most programs do.
pub async fn xread(job: &Job) -> Result<Sample, Failure> {
    let meter = Meter::start(&job.url).await?;
    let mut connection = connect(&job.url).await?;
    let options = StreamReadOptions::default().count(READ);
    let (mut seen, mut after) = (0, "0-0".to_owned());
    while seen < job.entries {
        let reply: StreamReadReply = connection.xread_options(&[&job.stream], &[&after], &options).await?;
        for entry in reply.keys.into_iter().flat_map(|key| key.ids) {
            seen += 1;
            after = entry.id;
        }
    }
    let sample = meter.stop().await?;
    Ok(Sample { state: Some(seen), ..sample })
}

/// Works a job off; while one read's writes are on their way, the next is read on a connection of its own.
pub async fn write(job: &Job, writes: Writes) -> Result<Sample, Failure> {
    let meter = Meter::start(&job.url).await?;
    let mut reader = Reader::open(job, BATCH).await?;
    let mut writer = Writer::open(job, writes).await?;
    let mut entries = reader.read().await?;
    let mut seen = 0;
    while seen < job.entries {
        seen += entries.len() as u64;
        let pipeline = writer.pipeline(entries)?;
        let ((), next) = tokio::try_join!(writer.send(pipeline), reader.read())?;
        entries = next;
    }
    let sample = meter.stop().await?;
    let state = match writes {
        Writes::EmptyScripts => Some(seen),
        Writes::SameEach => writer.connection.hget(&writer.record, "sold").await?,
        _ => writer.connection.hget(state_key(job), "sold").await?,
    };
    Ok(Sample { state, ..sample })
}

struct Reader {
    connection: MultiplexedConnection,
    stream: String,
    count: usize,
    after: Vec<u8>,
}

impl Reader {
    async fn open(job: &Job, count: usize) -> Result<Self, Failure> {
        let connection = connect(&job.url).await?;
        Ok(Self { connection, stream: job.stream.clone(), count, after: b"0-0".to_vec() })
    }

    async fn read(&mut self) -> Result<Vec<Value>, Failure> {
        let mut command = Cmd::with_capacity(6, 64);
        command.arg("XREAD").arg("COUNT").arg(self.count).arg("STREAMS").arg(&self.stream).arg(&self.after);
        let entries = match self.connection.req_packed_command(&command).await? {
            Value::Nil => return Ok(Vec::new()),
            reply => entries(reply).ok_or("XREAD replied with something else than entries")?,
        };
        if let Some(Value::Array(last)) = entries.last()
            && let Some(Value::BulkString(id)) = last.first()
        {
            self.after.clone_from(id);
        }
        Ok(entries)
    }
}

/// The entries of the one stream that was read.
fn entries(reply: Value) -> Option<Vec<Value>> {
    let Value::Array(mut streams) = reply else { return None };
    let Value::Array(mut stream) = streams.pop()? else { return None };
    let Value::Array(entries) = stream.pop()? else { return None };
    Some(entries)
}

struct Sold {
    id: Vec<u8>,
    sku: Vec<u8>,
    quantity: u64,
}

impl Sold {
    fn read(entry: Value) -> Option<Self> {
        let Value::Array(mut entry) = entry else { return None };
        let Value::Array(fields) = entry.pop()? else { return None };
        let Value::BulkString(id) = entry.pop()? else { return None };
        let (mut sku, mut quantity) = (None, None);
        let mut fields = fields.into_iter();
        while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) = (fields.next(), fields.next()) {
            match name.as_slice() {
                b"sku" => sku = Some(value),
                b"quantity" => quantity = std::str::from_utf8(&value).ok()?.parse().ok(),
                _ => {}
            }
        }
        Some(Self { id, sku: sku?, quantity: quantity? })
    }
}

struct Writer {
    connection: MultiplexedConnection,
    writes: Writes,
    script: String,
    record: String,
    state: String,
    job: Job,
    sold: u64,
    sequence: u64,
}

/// As long as the library's own.
const TOKEN: &str = "0123456789ABCDEF.1.1.1790000000000000";

impl Writer {
    async fn open(job: &Job, writes: Writes) -> Result<Self, Failure> {
        let mut connection = connect(&job.url).await?;
        let script = redis::cmd("SCRIPT").arg("LOAD").arg("return 1").query_async(&mut connection).await?;
        let (record, state) = (record(&job.stream, &job.group), state_key(job));
        if matches!(writes, Writes::SameEach) {
            let () = connection.xgroup_create(&job.stream, &job.group, "0").await?;
        }
        Ok(Self { connection, writes, script, record, state, job: job.clone(), sold: 0, sequence: 0 })
    }

    fn pipeline(&mut self, entries: Vec<Value>) -> Result<Pipeline, Failure> {
        let mut pipeline = Pipeline::with_capacity(4 * entries.len() + 3);
        let for_all = matches!(self.writes, Writes::TransactionForAll);
        let mut last = Vec::new();
        if for_all {
            pipeline.cmd("MULTI").ignore();
        }
        for entry in entries {
            let sale = Sold::read(entry).ok_or("an entry is no sale")?;
            self.sold += sale.quantity;
            match self.writes {
                Writes::EmptyScripts => {
                    pipeline.add_command(self.script(&sale)).ignore();
                }
                Writes::TransactionEach => {
                    pipeline.cmd("MULTI").ignore();
                    self.alert(&sale, &mut pipeline);
                    self.state(&sale.id, &mut pipeline);
                    pipeline.cmd("EXEC").ignore();
                }
                Writes::SameEach => {
                    pipeline.cmd("MULTI").ignore();
                    self.alert(&sale, &mut pipeline);
                    self.same(&sale.id, &mut pipeline);
                    pipeline.cmd("EXEC").ignore();
                }
                Writes::TransactionForAll => {
                    self.alert(&sale, &mut pipeline);
                    last = sale.id;
                }
            }
        }
        if for_all {
            self.state(&last, &mut pipeline);
            pipeline.cmd("EXEC").ignore();
        }
        Ok(pipeline)
    }

    async fn send(&mut self, pipeline: Pipeline) -> Result<(), Failure> {
        Ok(pipeline.query_async(&mut self.connection).await?)
    }

    fn state(&self, position: &[u8], pipeline: &mut Pipeline) {
        pipeline.cmd("HSET").arg(&self.state).arg("sold").arg(self.sold).arg("position").arg(position).ignore();
    }

    /// The fields of the library's record, and the group's cursor.
    fn same(&mut self, position: &[u8], pipeline: &mut Pipeline) {
        self.sequence += 1;
        pipeline.cmd("HSET").arg(&self.record).arg("@head").arg(format!("{TOKEN}:{}", self.sequence));
        pipeline
            .arg("@position")
            .arg(position)
            .arg("@processed")
            .arg(self.sequence)
            .arg("sold")
            .arg(self.sold)
            .ignore();
        pipeline.cmd("XGROUP").arg("SETID").arg(&self.job.stream).arg(&self.job.group).arg(position);
        pipeline.arg("ENTRIESREAD").arg(self.sequence).ignore();
    }

    fn alert(&self, sale: &Sold, pipeline: &mut Pipeline) {
        if sale.quantity == ALERT_QUANTITY {
            pipeline.cmd("XADD").arg(&self.job.alerts).arg("*").arg("sku").arg(&sale.sku);
            pipeline.arg("sold").arg(self.sold).ignore();
        }
    }

    /// The library's commit of the same sale, with another script.
    fn script(&mut self, sale: &Sold) -> Cmd {
        let alerts = sale.quantity == ALERT_QUANTITY;
        let mut command = Cmd::with_capacity(if alerts { 22 } else { 14 }, 384);
        command
            .arg("EVALSHA")
            .arg(&self.script)
            .arg(if alerts { 3 } else { 2 })
            .arg(&self.record)
            .arg(&self.job.stream);
        if alerts {
            command.arg(&self.job.alerts);
        }
        command.arg(format!("{TOKEN}:{}", self.sequence)).arg(format!("{TOKEN}:{}", self.sequence + 1));
        self.sequence += 1;
        command.arg(&sale.id).arg(self.sequence).arg(&self.job.group).arg(self.sequence);
        command.arg(2).arg("sold").arg(self.sold);
        if alerts {
            command.arg("A").arg(3).arg(4).arg("sku").arg(&sale.sku).arg("sold").arg(self.sold);
        }
        command
    }
}
