//! Messages per second, processor time and memory of this library, beside those of everything that it could be replaced by.
//!
//! `cargo bench -p atomic-streams --bench throughput -- --help` says how it is used.

mod ground;
mod large;
mod peers;
mod plot;
mod positions;
mod python;
mod report;
#[path = "../stand/mod.rs"]
mod stand;
mod variants;
mod wide;

use ground::{Ground, Run};
use report::Row;
use stand::Failure;
use stand::arguments::Arguments;
use stand::table::thousands;
use stand::{child, machine};
use variants::{Durability, Variant};

const HELP: &str = "\
Throughput of atomic-streams and of what it could be replaced by, on servers that this benchmark starts.

cargo bench -p atomic-streams --bench throughput -- [ARGUMENTS]

  --entries N     entries of a run (200,000; slow variants take fewer)
  --runs N        rounds; all variants take turns in each, and medians are shown (5)
  --server PATH   the server's binary (else redis-server or valkey-server on the PATH)
  --only A,B      only these variants; `coalesced*` stands for all that begin so
  --skip A,B      all but these variants
  --json          one JSON array on standard output; the table goes to standard error
  --markdown      the tables as Markdown
  --plot PATH     draw the rates as SVG; like every relative path, PATH begins at the repository

All variants take about five minutes on two cores, and another three when the other libraries are built for the first time.
`python` needs python3 with venv and pip, and a package registry; what cannot be had here is shown as such.";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Some(arguments) = Arguments::read(HELP, 5)? else { return Ok(()) };
    if let Some(job) = &arguments.job {
        child::end_with_parent();
        let sample = variants::work(&serde_json::from_str(job)?).await?;
        println!("{}", serde_json::to_string(&sample)?);
        return Ok(());
    }
    // Every tenth sale is worth an alert, and the last must be.
    let entries = (arguments.entries.unwrap_or(200_000) / 10).max(1) * 10;
    let wanted: Vec<&Variant> = variants::ALL.iter().filter(|variant| arguments.wants(variant.name)).collect();
    let mut grounds = Vec::new();
    for durability in [Durability::None, Durability::Everysec, Durability::Always] {
        if durability == Durability::None || wanted.iter().any(|variant| variant.durability == durability) {
            grounds.push(Ground::prepare(arguments.server.as_deref(), durability, entries).await?);
        }
    }
    let version = match grounds.first() {
        Some(ground) => ground.version().await,
        None => String::new(),
    };
    let about =
        format!("{version}; {}; {} entries, {} runs", machine::describe(), thousands(entries as f64), arguments.runs);
    eprintln!("{about}");

    let rows = measure(&arguments, &wanted, &mut grounds, entries).await?;
    let markdown = arguments.markdown;
    let text = format!("{}\n{}", report::table(&rows, markdown), report::ratios(&rows, markdown));
    if arguments.json {
        eprintln!("{text}");
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        println!("{about}\n\n{text}");
    }
    if let Some(path) = &arguments.plot {
        std::fs::write(path, plot::svg(&rows, &about)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let wrong: Vec<&str> = rows.iter().filter(|row| row.correct == Some(false)).map(|row| row.variant).collect();
    if wrong.is_empty() { Ok(()) } else { Err(format!("wrong state or alerts: {}", wrong.join(", ")).into()) }
}

/// All variants take turns in each round, so that what disturbs the machine disturbs all alike.
async fn measure(
    arguments: &Arguments,
    wanted: &[&Variant],
    grounds: &mut [Ground],
    entries: u64,
) -> Result<Vec<Row>, Failure> {
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); wanted.len()];
    let mut failed: Vec<Option<String>> = vec![None; wanted.len()];
    for round in 1..=arguments.runs {
        for (number, variant) in wanted.iter().enumerate() {
            // What cannot be run, or not in reasonable time, is not tried again.
            if failed[number].is_some() {
                continue;
            }
            let outcome = match grounds.iter_mut().find(|ground| ground.suits(variant)) {
                Some(ground) => ground.run(variant, round).await?,
                None => ground::run_peer(arguments.server.as_deref(), variant, round, entries).await?,
            };
            match outcome {
                Ok(run) => {
                    let rate = run.entries as f64 / run.sample.elapsed_s;
                    let fault = run.fault.as_ref().map_or_else(String::new, |fault| format!(", WRONG: {fault}"));
                    eprintln!("round {round}: {:<26} {:>9} msg/s{fault}", variant.name, thousands(rate));
                    runs[number].push(run);
                }
                Err(reason) => {
                    eprintln!("round {round}: {:<26} {reason}", variant.name);
                    failed[number] = Some(reason);
                }
            }
        }
    }
    let rows = wanted.iter().zip(runs).zip(failed);
    let mut rows: Vec<Row> = rows.map(|((variant, runs), failed)| Row::new(variant, &runs, failed)).collect();
    report::compare(&mut rows);
    Ok(rows)
}
