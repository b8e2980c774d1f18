//! The server's clock, which can be set where the machine has a `faketime` that works with the server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// A server binary whose clock is off by what a file says when it starts.
#[derive(Debug)]
pub struct Clock {
    wrapper: PathBuf,
    offset: PathBuf,
    seconds: AtomicI64,
}

impl Clock {
    /// An error says why it is not possible here.
    pub fn new(folder: &Path, server: &Path) -> Result<Self, String> {
        let works = Command::new("faketime").args(["-f", "-3650d", "date", "+%Y"]).output();
        let works = works.map_err(|e| format!("there is no faketime: {e}"))?;
        let shown = String::from_utf8_lossy(&works.stdout);
        let here = Command::new("date").arg("+%Y").output().map_err(|e| format!("there is no date: {e}"))?;
        if !works.status.success() || shown == String::from_utf8_lossy(&here.stdout) {
            return Err("faketime does not change the time".into());
        }
        let (wrapper, offset) = (folder.join("server-with-clock"), folder.join("clock-offset"));
        let script = format!(
            "#!/bin/sh\nFAKETIME_DONT_FAKE_MONOTONIC=1 exec faketime -f \"$(cat '{}')\" '{}' \"$@\"\n",
            offset.display(),
            server.display()
        );
        let write = || {
            fs::write(&offset, "+0s")?;
            fs::write(&wrapper, script)?;
            fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))
        };
        write().map_err(|e| format!("cannot write {}: {e}", wrapper.display()))?;
        // A server with another allocator than the C library's may hang in its first call.
        if !succeeds_soon(Command::new(&wrapper).arg("--version")) {
            return Err("the server does not start under faketime".into());
        }
        Ok(Self { wrapper, offset, seconds: AtomicI64::new(0) })
    }

    pub fn binary(&self) -> &Path {
        &self.wrapper
    }

    /// Moves the clock of the servers that are started from now on.
    pub fn jump(&self, seconds: i64) -> std::io::Result<i64> {
        let now = self.seconds.fetch_add(seconds, Ordering::Relaxed) + seconds;
        fs::write(&self.offset, format!("{now:+}s"))?;
        Ok(now)
    }
}

fn succeeds_soon(command: &mut Command) -> bool {
    let Ok(mut child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else { return false };
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(10)),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}
