//! A real terminal: a tmux of the test's own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::child::{TiedChild, on_path, tied_command};
use crate::wait::eventually;

/// A terminal in which a shell runs, on a tmux server of its own that ends with it.
///
/// What fails here, fails the test.
#[derive(Debug)]
pub struct Tmux {
    server: TiedChild,
    /// Of its socket alone.
    folder: TempDir,
}

impl Tmux {
    /// A terminal of this size, once its shell waits for a command. `None` where there is no tmux, after a line that says so.
    pub async fn start(width: u16, height: u16) -> Option<Self> {
        let Some(tmux) = on_path(&["tmux"]) else {
            println!("left out: there is no tmux on the PATH, and so no real terminal to try this in");
            return None;
        };
        let folder = TempDir::new().expect("a folder for a socket");
        let mut command = tied_command(&tmux);
        // Not as a daemon: it would outlive a test that is killed.
        command
            .args(["-D", "-u", "-f", "/dev/null", "-S"])
            .arg(socket(&folder))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = TiedChild::spawn(command).expect("to start tmux");
        let terminal = Self { server, folder };
        let (width, height) = (width.to_string(), height.to_string());
        let shell = "exec env -u ENV PS1='ready> ' LC_ALL=C.UTF-8 sh -i";
        let session = ["new-session", "-d", "-x", &width, "-y", &height, shell];
        eventually("tmux has begun a session", async || terminal.ask(&session).is_some()).await;
        terminal.until("its shell waits", |screen| screen.contains("ready>")).await;
        Some(terminal)
    }

    /// Presses these keys, by tmux's names: `Enter`, `C-c`, `Down`, or characters.
    pub fn press(&self, keys: &[&str]) {
        self.must(&[&["send-keys"], keys].concat());
    }

    /// Writes a line to what runs in it.
    pub fn line(&self, text: &str) {
        self.must(&["send-keys", "-l", text]);
        self.press(&["Enter"]);
    }

    /// What it shows now.
    pub fn screen(&self) -> String {
        self.must(&["capture-pane", "-p"])
    }

    /// Waits until it shows what is wanted, and returns that; panics with what it shows instead.
    pub async fn until(&self, what: &str, is_shown: impl Fn(&str) -> bool) -> String {
        let shown = std::cell::RefCell::new(String::new());
        let waiting = async || {
            let screen = self.screen();
            let is_there = is_shown(&screen);
            if !is_there && *shown.borrow() != screen {
                eprintln!("waiting until {what}:\n{}", screen.trim_end());
            }
            shown.replace(screen);
            is_there
        };
        eventually(what, waiting).await;
        shown.into_inner()
    }

    /// Whether a program has the full screen, so that what the shell wrote comes back when it ends.
    pub fn is_full_screen(&self) -> bool {
        self.must(&["display-message", "-p", "#{alternate_on}"]).trim() == "1"
    }

    /// Whether the cursor is shown.
    pub fn shows_cursor(&self) -> bool {
        self.must(&["display-message", "-p", "#{cursor_flag}"]).trim() == "1"
    }

    /// Gives it another size.
    pub fn resize(&self, width: u16, height: u16) {
        self.must(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    fn must(&self, arguments: &[&str]) -> String {
        self.ask(arguments).unwrap_or_else(|| panic!("tmux refuses {arguments:?}"))
    }

    fn ask(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new("tmux");
        // Without -N, this would start a server of its own where the other is not ready yet, and that one stays.
        let output =
            command.args(["-N", "-u", "-S"]).arg(socket(&self.folder)).args(arguments).output().expect("to run tmux");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("socket")
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // What runs in it is hung up.
        let _ = self.ask(&["kill-server"]);
        self.server.kill();
    }
}
