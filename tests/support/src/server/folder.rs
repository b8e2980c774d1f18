//! A server's data folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::local::LOG;

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

/// What a server has saved, in memory: files by their paths in the data folder.
#[derive(Debug, Default)]
pub(super) struct Files(Vec<(PathBuf, Vec<u8>)>);

impl Files {
    /// All that is a server's data in its folder.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(within) = folders.pop() {
            for entry in fs::read_dir(folder.join(&within))? {
                let entry = entry?;
                let path = within.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    folders.push(path);
                } else if ![LOCK, LOG].map(Path::new).contains(&path.as_path()) {
                    files.push((path, fs::read(entry.path())?));
                }
            }
        }
        Ok(Self(files))
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        for (path, bytes) in &self.0 {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
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
