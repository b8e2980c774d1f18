//! The soak: workers in processes of their own, under load and under faults of every kind, with a checker that goes along.
//! For how long is up to who starts it: `cargo test --release --test soak -- --seconds 3600`.
//!
//! This target has no harness: it takes arguments of its own, answers as a test binary where it is started as one, and
//! starts itself again as its workers.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod arguments;
mod checker;
mod clock;
mod connect;
mod crew;
mod entries;
mod faults;
mod producer;
mod sabotage;
mod schedule;
mod self_test;
mod soak;
mod subscriptions;
mod verdict;
mod worker;
mod world;

use std::process::ExitCode;

use arguments::{Command, Filter, Options};

fn main() -> ExitCode {
    match Command::parse(std::env::args().skip(1)) {
        Ok(Command::Worker(options)) => worker::run(&options),
        Ok(Command::Soak(options)) => {
            // What panicked is part of the verdict.
            std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
            block_on(run(options))
        }
        Ok(Command::Plan(options)) => {
            schedule::schedule(options.seed, options.seconds).iter().for_each(|planned| println!("{planned}"));
            ExitCode::SUCCESS
        }
        Ok(Command::List { ignored }) => {
            let names = if ignored { Vec::new() } else { self_test::names() };
            names.iter().for_each(|name| println!("{name}: test"));
            ExitCode::SUCCESS
        }
        Ok(Command::Tests(filter)) => block_on(tests(&filter)),
        Ok(Command::Help) => {
            println!("{}", arguments::USAGE);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::from(2)
        }
    }
}

fn block_on(work: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

async fn run(options: Options) -> ExitCode {
    let json = options.json;
    if !json {
        println!("to repeat this run: --seed {} --seconds {}", options.seed, options.seconds);
    }
    let verdict = soak::run(options).await;
    if json {
        println!("{}", verdict.as_json());
    } else {
        print!("{}", verdict.as_text());
    }
    verdict.exit_code()
}

async fn tests(filter: &Filter) -> ExitCode {
    let wanted = self_test::wanted(filter);
    println!("\nrunning {} tests", wanted.len());
    for name in &wanted {
        if name == self_test::SOAK {
            let verdict = soak::run(Options::default()).await;
            print!("{}", verdict.as_text());
            if !matches!(verdict.outcome, verdict::Outcome::Exact) {
                println!("test {name} ... FAILED");
                return verdict.exit_code();
            }
        } else {
            self_test::run(name).await;
        }
        println!("test {name} ... ok");
    }
    println!("\ntest result: ok. {} passed; 0 failed\n", wanted.len());
    ExitCode::SUCCESS
}
