//! Latency at constant rates, several consumers in one process, what idle ones cost, how fast another process takes
//! over, and the most memory that a consumer needs.
//!
//! `cargo bench -p atomic-streams --bench latency -- --help` says how it is used.

mod memory;
mod producer;
mod row;
mod several;
#[path = "../stand/mod.rs"]
mod stand;
mod steady;
mod takeover;

use redis::aio::MultiplexedConnection;
use row::Row;
use stand::Failure;
use stand::arguments::Arguments;
use stand::by_hand;
use stand::child::{self, Job};
use stand::consumer::{self, Tracker};
use stand::machine;
use stand::meter::connect;
use takeover::Goes;

const HELP: &str = "\
Latency, scaling, idle cost, takeover and memory of atomic-streams, on a server that this benchmark starts.

cargo bench -p atomic-streams --bench latency -- [ARGUMENTS]

  --runs N        rounds; medians are shown (5)
  --entries N     entries that the consumers of `scaling` share (200,000)
  --server PATH   the server's binary (else redis-server or valkey-server on the PATH)
  --only A,B      only these of: per_message_500, per_message_5000, handwritten_500, handwritten_5000, scaling_1,
                  scaling_2, scaling_4, scaling_8, idle_1000, takeover_release, takeover_sigkill, backlog_1000000,
                  entries_of_1_mib
  --skip A,B      all but these; `scaling*` stands for all that begin so
  --json          one JSON array on standard output; the tables go to standard error
  --markdown      the tables as Markdown

latency: from the instant at which a producer was to send its XADD, at a constant rate, until the committed alert could be
read downstream; percentiles of each round without its first second. scaling: as many streams as consumers, in one process.
takeover: from the request to shut down, or the SIGKILL, to the first commit of a standby in another process, at 500 sales a
second. memory: the most that the process ever had, once. All of it takes about six minutes.";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Some(arguments) = Arguments::read(HELP, 5)? else { return Ok(()) };
    if let Some(job) = &arguments.job {
        return work(&serde_json::from_str(job)?).await;
    }
    let server = stand::server::server(arguments.server.as_deref()).start().await;
    let mut connection = connect(server.url()).await?;
    let about = format!("{}; {}; {} runs", server.version().await, machine::describe(), arguments.runs);
    eprintln!("{about}");
    let rows = measure(&arguments, server.url(), &mut connection).await?;

    let text = row::tables(&rows, arguments.markdown);
    if arguments.json {
        eprintln!("{text}");
        println!("{}", serde_json::to_string_pretty(&rows.iter().map(Row::json).collect::<Vec<_>>())?);
    } else {
        println!("{about}\n\n{text}");
    }
    let wrong: Vec<&str> = rows.iter().filter(|row| row.fault.is_some()).map(|row| row.variant.as_str()).collect();
    if wrong.is_empty() { Ok(()) } else { Err(format!("not right: {}", wrong.join(", ")).into()) }
}

/// One line of a table, by the name that selects it.
#[derive(Clone, Copy, Debug)]
enum Measure {
    Latency { work: &'static str, rate: u32 },
    Scaling(u64),
    Idle(u64),
    Takeover(Goes),
    Memory { entries: u64, padding_bytes: usize },
}

const ALL: [(&str, Measure); 13] = [
    ("per_message_500", Measure::Latency { work: "per_message", rate: 500 }),
    ("handwritten_500", Measure::Latency { work: "handwritten_xreadgroup", rate: 500 }),
    ("per_message_5000", Measure::Latency { work: "per_message", rate: 5_000 }),
    ("handwritten_5000", Measure::Latency { work: "handwritten_xreadgroup", rate: 5_000 }),
    ("scaling_1", Measure::Scaling(1)),
    ("scaling_2", Measure::Scaling(2)),
    ("scaling_4", Measure::Scaling(4)),
    ("scaling_8", Measure::Scaling(8)),
    ("idle_1000", Measure::Idle(1_000)),
    ("takeover_release", Measure::Takeover(Goes::Releasing)),
    ("takeover_sigkill", Measure::Takeover(Goes::Killed)),
    ("backlog_1000000", Measure::Memory { entries: 1_000_000, padding_bytes: 0 }),
    ("entries_of_1_mib", Measure::Memory { entries: 500, padding_bytes: 1 << 20 }),
];

async fn measure(
    arguments: &Arguments,
    url: &str,
    connection: &mut MultiplexedConnection,
) -> Result<Vec<Row>, Failure> {
    let wanted: Vec<_> = ALL.into_iter().filter(|(name, _)| arguments.wants(name)).collect();
    let entries = arguments.entries.unwrap_or(200_000);
    let mut rounds: Vec<Vec<Row>> = wanted.iter().map(|_| Vec::new()).collect();
    for round in 1..=arguments.runs {
        for ((name, measure), rows) in wanted.iter().zip(&mut rounds) {
            // A peak is not a matter of chance, and these take their time.
            if round > 1 && matches!(measure, Measure::Memory { .. }) {
                continue;
            }
            let row = match *measure {
                Measure::Latency { work, rate } => steady::run(url, connection, work, rate).await?,
                Measure::Scaling(consumers) => several::run(url, connection, consumers, entries).await?,
                Measure::Idle(consumers) => several::run_idle(url, connection, consumers).await?,
                Measure::Takeover(goes) => takeover::run(url, connection, goes, round as u32).await?,
                Measure::Memory { entries, padding_bytes } => {
                    memory::run(url, connection, name, entries, padding_bytes).await?
                }
            };
            let figures: Vec<String> = row.figures.iter().map(|(name, value)| format!("{name} {value:.0}")).collect();
            eprintln!("round {round}: {name:<18} {}", figures.join(", "));
            rows.push(row);
        }
    }
    Ok(rounds.iter().filter_map(|rows| Row::median(rows)).collect())
}

/// Does a job in this process.
async fn work(job: &Job) -> Result<(), Failure> {
    // It hears of its parent's end itself.
    if job.work == "takeover" {
        return takeover::work(job).await;
    }
    child::end_with_parent();
    let sample = match job.work.as_str() {
        "idle" => {
            println!("{}", several::work_idle(job).await?);
            return Ok(());
        }
        "several" => several::work(job).await?,
        "per_message" => consumer::run(job, |builder| builder, Tracker::new, Tracker::FIELD).await?,
        "handwritten_xreadgroup" => by_hand::xreadgroup(job).await?,
        other => return Err(format!("no such work: {other}").into()),
    };
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}
