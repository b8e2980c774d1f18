//! Where cargo puts an example, and building it when it is not there.

use std::collections::HashMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

/// The path of a built example.
pub(super) fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<Mutex<HashMap<String, PathBuf>>> = OnceLock::new();
    // Held while cargo works, so that it builds once however many tests ask.
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(name.to_owned()).or_insert_with(|| find_or_build(name)).clone()
}

fn find_or_build(name: &str) -> PathBuf {
    let profile = profile_folder();
    let binary = profile.join("examples").join(name);
    if is_fresh(&binary) {
        return binary;
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace()).args(["build", "--example", name]);
    match profile.file_name().and_then(OsStr::to_str) {
        Some("debug") => {}
        Some(other) => drop(command.args(["--profile", other])),
        None => panic!("{} is no folder of a cargo profile", profile.display()),
    }
    command.arg("--target-dir").arg(profile.parent().expect("the target folder holds the profile's"));
    let output = command.output().unwrap_or_else(|e| panic!("cargo did not run: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the example {name} does not build:\n{errors}");
    assert!(binary.is_file(), "cargo built the example {name}, yet not as {}", binary.display());
    binary
}

/// A test runs as `target/PROFILE/deps/NAME-HASH`, a doc test or an example elsewhere below the profile's folder.
fn profile_folder() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let folders = test.ancestors().skip(1);
    let inner = folders.into_iter().find(|folder| folder.ends_with("deps") || folder.ends_with("examples"));
    let inner = inner.unwrap_or_else(|| panic!("{} is not where cargo puts tests", test.display()));
    inner.parent().expect("deps lies in the profile's folder").to_owned()
}

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Whether a binary exists and is younger than the files it is made of, which cargo lists beside it as
/// `binary: file file …`. A run of one test alone does not build the examples anew.
fn is_fresh(binary: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    let Some(built) = modified(binary) else { return false };
    let Ok(list) = fs::read_to_string(binary.with_extension("d")) else { return true };
    let sources = list.lines().filter_map(|line| line.split_once(": ")).flat_map(|(_, files)| files.split(' '));
    let changed = |at: Option<SystemTime>| at.is_some_and(|at| at > built);
    // A name with a space in it comes in pieces; those that are no file say nothing.
    !sources.map(Path::new).filter(|file| file.is_absolute()).any(|file| changed(modified(file)))
}
