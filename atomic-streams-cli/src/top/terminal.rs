//! The terminal: taken, given back whatever happens, and read.

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::crossterm::{cursor, execute};
use tokio::sync::mpsc;

/// Bytes of a frame that are sent at once.
const BUFFER: usize = 64 << 10;

/// How often the thread that reads keys looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(200);

/// Whether the terminal is ours now.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours: given back when this is dropped, and before a panic is told of.
pub(super) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Terminal {
    pub fn take() -> io::Result<Self> {
        give_back_on_panic();
        let backend = CrosstermBackend::new(BufWriter::with_capacity(BUFFER, io::stdout()));
        let mut terminal = Self { inner: ratatui::Terminal::new(backend)? };
        terminal.take_again()?;
        Ok(terminal)
    }

    /// Takes it (again), and draws all of the next frame.
    pub fn take_again(&mut self) -> io::Result<()> {
        IS_TAKEN.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        self.inner.clear()
    }

    pub fn give_back(&mut self) {
        give_back();
    }

    /// Draws all of the next frame.
    pub fn clear(&mut self) -> io::Result<()> {
        self.inner.clear()
    }

    pub fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.inner.size()?;
        Ok((size.width, size.height))
    }

    pub fn draw(&mut self, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        self.inner.draw(draw).map(drop)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        // Where the terminal is gone, there is nothing to give back.
        let _ = disable_raw_mode();
        let mut out = io::stdout();
        let _ = execute!(out, LeaveAlternateScreen, cursor::Show);
        let _ = out.flush();
    }
}

/// What a panic says must come after the terminal was given back, or nobody sees it.
fn give_back_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            tell(panic);
        }));
    });
}

/// Keys and changes of size as they come; an error ends it.
///
/// They are read by a thread of their own, which ends when the receiver is dropped.
pub(super) fn events() -> io::Result<mpsc::Receiver<io::Result<Event>>> {
    let (sender, receiver) = mpsc::channel(64);
    let read = move || {
        while !sender.is_closed() {
            let event = match event::poll(LOOK) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(error) => Err(error),
            };
            let is_over = event.is_err();
            if sender.blocking_send(event).is_err() || is_over {
                break;
            }
        }
    };
    thread::Builder::new().name("keys".into()).spawn(read)?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use support::Tmux;

    use super::*;

    const IN_TERMINAL: &str = "ATOMIC_STREAMS_TEST_PANICS_IN_TERMINAL";

    /// It runs itself once more in a terminal, and panics there.
    #[tokio::test]
    async fn a_panic_is_told_of_after_the_terminal_was_given_back() {
        if std::env::var_os(IN_TERMINAL).is_some() {
            let mut terminal = Terminal::take().unwrap();
            terminal.draw(|frame| frame.render_widget("drawn", frame.area())).unwrap();
            let mut line = String::new();
            // The test goes on when it has seen the frame.
            while !line.contains('x') {
                line.extend(match event::read() {
                    Ok(Event::Key(key)) => key.code.as_char(),
                    _ => None,
                });
            }
            panic!("the reason of it all");
        }
        let Some(terminal) = Tmux::start(100, 40).await else { return };
        let this = std::env::current_exe().unwrap();
        let test = "top::terminal::tests::a_panic_is_told_of_after_the_terminal_was_given_back";
        terminal.line("stty -g; echo before");
        let before = terminal.until("the settings are shown", |screen| screen.contains("\nbefore\n")).await;
        terminal.line(&format!(
            "RUST_BACKTRACE=0 {IN_TERMINAL}=1 '{}' --exact {test} --nocapture; echo end''ed",
            this.display()
        ));
        terminal.until("it draws", |screen| screen.starts_with("drawn")).await;
        assert!(terminal.is_full_screen() && !terminal.shows_cursor());
        terminal.press(&["x"]);
        let after = terminal.until("the shell is back", |screen| screen.contains("\nended\n")).await;
        assert!(after.contains("the reason of it all"), "{after}");
        assert!(!terminal.is_full_screen() && terminal.shows_cursor());
        terminal.line("stty -g; echo after");
        let after = terminal.until("the settings are shown", |screen| screen.contains("\nafter\n")).await;
        // The line before the word that was written after it.
        let settings = |screen: &str, word: &str| {
            let lines: Vec<&str> = screen.lines().collect();
            lines.windows(2).find(|pair| pair[1] == word).map(|pair| pair[0].to_owned())
        };
        let (before, after) = (settings(&before, "before"), settings(&after, "after"));
        let is_set = before.as_ref().is_some_and(|settings| settings.contains(':'));
        assert!(is_set && before == after, "{before:?} {after:?}");
    }
}
