//! A server's data folder.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

const PREFIX: &str = "atomic-streams-test-data-";
const LOCK: &str = "lock";

/// Removed on drop. What a killed test left behind, a later one removes: the kernel has given its lock up by then.
#[derive(Debug)]
pub(super) struct DataFolder {
    folder: TempDir,
    _lock: File,
}

impl DataFolder {
    pub(super) fn new() -> Result<Self, String> {
        sweep();
        let failed = |e| format!("no folder for the server's data: {e}");
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir().map_err(failed)?;
        let lock = File::create(folder.path().join(LOCK)).map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|e| failed(e.into()))?;
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Once per process.
fn sweep() {
    static SWEPT: OnceLock<()> = OnceLock::new();
    SWEPT.get_or_init(|| {
        let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_abandoned(&entry.path()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    });
}

fn is_abandoned(folder: &Path) -> bool {
    // A new one may be about to be locked.
    let age = fs::metadata(folder).and_then(|m| m.modified()).ok().and_then(|modified| modified.elapsed().ok());
    if age.is_none_or(|age| age < Duration::from_secs(60)) {
        return false;
    }
    let lock = OpenOptions::new().write(true).open(folder.join(LOCK));
    lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
}
