//! Child processes that do not outlive this one.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// A command that the kernel kills when this process ends, where the machine has a `setpriv` that can ask for that.
/// (A call of `prctl` between fork and exec would need unsafe code.)
pub(crate) fn tied_command(program: &Path) -> Command {
    let Some(setpriv) = setpriv() else { return Command::new(program) };
    let mut command = Command::new(setpriv);
    // A Ctrl-C is for this process, which may still need its server to end in good order.
    command.args(TIE).arg(program).process_group(0);
    command
}

const TIE: [&str; 3] = ["--pdeathsig", "KILL", "--"];

/// Where it is, so that a child may be given any PATH. The one of busybox does not know the option.
fn setpriv() -> Option<&'static Path> {
    static WORKING: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let setpriv = on_path(&["setpriv"])?;
        let mut probe = Command::new(&setpriv);
        probe.args(TIE).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success()).then_some(setpriv)
    };
    WORKING.get_or_init(find).as_deref()
}

/// Starts a command on a thread that lives as long as the process: the kernel ties the child to the thread that
/// started it, and a test's own thread or a runtime's worker may end before the test does.
fn spawn(mut command: Command) -> io::Result<Child> {
    type Job = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let run = move || {
            for (mut command, answer) in inbox {
                let _ = answer.send(command.spawn());
            }
        };
        thread::Builder::new().name("starter".into()).spawn(run).expect("a thread to start processes on");
        jobs
    });
    command.stdin(Stdio::null());
    let (answer, outcome) = mpsc::channel();
    starter.send((command, answer)).expect("the thread that starts processes lives");
    outcome.recv().expect("the thread that starts processes answers")
}

/// A running child: killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct TiedChild {
    pid: u32,
    child: Mutex<Child>,
}

impl TiedChild {
    pub(crate) fn spawn(command: Command) -> io::Result<Self> {
        let child = spawn(command)?;
        Ok(Self { pid: child.id(), child: Mutex::new(child) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The pipes of the child, where the command asked for them.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Child) -> T) -> T {
        f(&mut self.lock())
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.lock().try_wait().expect("the state of a child process")
    }

    /// SIGKILL, also to a stopped process, and wait until it is gone.
    pub(crate) fn kill(&self) -> ExitStatus {
        let mut child = self.lock();
        let _ = child.kill();
        child.wait().expect("the end of a killed child process")
    }

    /// Sends a signal; false if the process has ended. Asking first, under the lock, makes sure that the number
    /// is not another process's by now.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let mut child = self.lock();
        if child.try_wait().expect("the state of a child process").is_some() {
            return false;
        }
        kill_process(pid(&child), signal).expect("to signal a child process");
        true
    }

    /// SIGSTOP; returns once the process has stopped.
    pub(crate) fn pause(&self) -> bool {
        if !self.signal(Signal::STOP) {
            return false;
        }
        let child = self.lock();
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid(&child)), stopped).expect("a child process to stop");
        true
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) -> bool {
        self.signal(Signal::CONT)
    }

    fn lock(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TiedChild {
    fn drop(&mut self) {
        self.kill();
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// The first of `names` on the PATH.
pub(crate) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()))
}
