//! The arguments of both benchmarks.

use std::path::{Path, PathBuf};

/// What a benchmark was asked for.
#[derive(Debug)]
pub struct Arguments {
    /// Entries of a run, where it is for the user to say.
    pub entries: Option<u64>,
    /// Rounds; medians are shown.
    pub runs: usize,
    /// The server's binary; else the one on the PATH.
    pub server: Option<PathBuf>,
    /// Results as JSON on standard output, and the table on standard error.
    pub json: bool,
    /// The table as Markdown.
    pub markdown: bool,
    /// Where to draw the results.
    pub plot: Option<PathBuf>,
    /// Only these, and without those. A name stands for itself and for everything that it begins with `*` after it.
    only: Vec<String>,
    skip: Vec<String>,
    /// This process is to do a job of another: see `child`.
    pub job: Option<String>,
}

impl Arguments {
    /// Reads the arguments of this process; `None` when it has only been asked for help, which it then has given.
    pub fn read(help: &str, runs: usize) -> Result<Option<Self>, String> {
        let mut read = Self {
            entries: None,
            runs,
            server: None,
            json: false,
            markdown: false,
            plot: None,
            only: Vec::new(),
            skip: Vec::new(),
            job: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value; see --help"));
            match argument.as_str() {
                "--help" | "-h" => {
                    println!("{help}");
                    return Ok(None);
                }
                // Cargo says so to every benchmark.
                "--bench" => {}
                "--json" => read.json = true,
                "--markdown" => read.markdown = true,
                "--entries" => read.entries = Some(number(&value()?)?),
                "--runs" => read.runs = number(&value()?)?.max(1) as usize,
                "--server" => read.server = Some(from_the_root(&value()?)),
                "--plot" => read.plot = Some(from_the_root(&value()?)),
                "--only" => read.only = names(&value()?),
                "--skip" => read.skip = names(&value()?),
                "--job" => read.job = Some(value()?),
                other => return Err(format!("no such argument: {other}; see --help")),
            }
        }
        Ok(Some(read))
    }

    /// Whether this one is to be run.
    pub fn wants(&self, name: &str) -> bool {
        let named = |names: &[String]| {
            names.iter().any(|given| match given.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == given,
            })
        };
        (self.only.is_empty() || named(&self.only)) && !named(&self.skip)
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.replace(['_', ','], "").parse().map_err(|_| format!("{text} is not a number"))
}

fn names(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// Cargo starts a benchmark in its package's folder; a user who names a file means the repository's.
fn from_the_root(path: &str) -> PathBuf {
    if path.contains('/') || path.ends_with(".svg") { root().join(path) } else { PathBuf::from(path) }
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
