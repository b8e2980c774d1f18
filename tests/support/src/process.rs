//! A built example, run as a child process.

mod build;
mod output;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::child::{TiedChild, tied_command};
use crate::wait::Patience;
use output::Output;

const LIMIT: Duration = Duration::from_secs(30);

/// A child process whose output is captured: killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: TiedChild,
    output: Output,
}

/// A process yet to be started.
#[derive(Debug)]
pub struct ProcessBuilder {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
}

impl Process {
    /// The example `name` of this workspace, built in the profile of the running test if it is not, or if a file
    /// it is made of has changed since.
    pub fn example(name: &str) -> ProcessBuilder {
        Self::binary(build::example(name))
    }

    /// Any binary.
    pub fn binary(program: impl Into<PathBuf>) -> ProcessBuilder {
        ProcessBuilder { program: program.into(), args: Vec::new(), env: Vec::new() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Waits for a line of its standard output or standard error, also among those already written, and returns
    /// it. Panics with the whole output when the process ends or 30 seconds pass without one.
    pub async fn wait_for_line(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_for_lines(1, wanted).await.swap_remove(0)
    }

    /// The same for the first `count` lines that are wanted.
    pub async fn wait_for_lines(&self, count: usize, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let found = self.output.wait_for(LIMIT, |lines| {
            let matches: Vec<String> = lines.iter().filter(|line| wanted(line)).take(count).cloned().collect();
            (matches.len() == count).then_some(matches)
        });
        let Some(found) = found.await else {
            let end = match self.child.ended() {
                Some(status) => format!("it ended with {status}"),
                None => format!("within {} s", LIMIT.as_secs()),
            };
            panic!("{} did not write the line a test waits for: {end}; its output:\n{}", self.name, self.output());
        };
        found
    }

    /// What it has written so far, both streams, line by line.
    pub fn lines(&self) -> Vec<String> {
        self.output.lines()
    }

    /// The same in one text.
    pub fn output(&self) -> String {
        self.lines().join("\n")
    }

    /// Whether it has not ended; a paused one has not.
    pub fn is_alive(&self) -> bool {
        self.child.ended().is_none()
    }

    /// SIGKILL; returns once it is gone.
    pub fn kill(&self) -> ExitStatus {
        self.child.kill()
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.delivered(self.child.signal(Signal::TERM));
    }

    /// SIGINT, as from Ctrl-C.
    pub fn interrupt(&self) {
        self.delivered(self.child.signal(Signal::INT));
    }

    /// SIGSTOP; returns once it has stopped.
    pub fn pause(&self) {
        self.delivered(self.child.pause());
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.delivered(self.child.resume());
    }

    /// Waits until it has ended and its output is complete. Panics with the output after 30 seconds.
    pub async fn wait(&self) -> ExitStatus {
        let patience = Patience::new(LIMIT);
        let status = loop {
            if let Some(status) = self.child.ended() {
                break status;
            }
            let (seconds, output) = (LIMIT.as_secs(), self.output());
            assert!(patience.lasts().await, "{} did not end within {seconds} s; its output:\n{output}", self.name);
        };
        self.output.complete(LIMIT).await;
        status
    }

    fn delivered(&self, delivered: bool) {
        assert!(delivered, "{} has ended already; its output:\n{}", self.name, self.output());
    }
}

impl ProcessBuilder {
    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Takes a variable away.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), None));
        self
    }

    /// Starts it.
    pub fn start(self) -> Process {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = tied_command(&self.program);
        command.args(&self.args).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child =
            TiedChild::spawn(command).unwrap_or_else(|e| panic!("{} did not start: {e}", self.program.display()));
        let output = child.with(|child| Output::capture(child.stdout.take(), child.stderr.take()));
        Process { name, child, output }
    }
}
