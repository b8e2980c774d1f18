//! The live view in a real terminal, on a real server.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;

use atomic_streams::{
    Consumer, ConsumerHandle, Fields, HandlerError, HandlerResult, OnFailure, Persistable, Transaction, async_trait,
};
use rustix::process::{Pid, Signal, kill_process};
use support::{Server, Tmux, eventually};
use tempfile::TempDir;

#[derive(Persistable, Default)]
struct Till {
    #[persist(default = 0)]
    takings: i64,
}

#[async_trait]
impl atomic_streams::Handler for Till {
    type Message = Fields;

    async fn handle(&mut self, sale: Fields, _: &mut Transaction) -> HandlerResult {
        match sale.get_str("cents").and_then(|cents| cents.parse::<i64>().ok()) {
            Some(cents) => self.takings += cents,
            None => return Err(HandlerError::permanent("cents are a number")),
        }
        Ok(())
    }
}

/// A server with a consumer that has handled two sales and given up one, and a terminal.
struct Shop {
    server: Server,
    terminal: Tmux,
    folder: TempDir,
    _consumer: ConsumerHandle,
}

impl Shop {
    async fn open() -> Option<Self> {
        let terminal = Tmux::start(100, 24).await?;
        let server = Server::builder().append_only("always").start().await;
        let consumer = Consumer::builder("sales", "till")
            .redis_url(server.url())
            .owner_name("till-1")
            .on_failure(OnFailure::dead_letter("sales:dead"))
            .handler(Till::default())
            .spawn()
            .await
            .unwrap();
        let shop = Self { server, terminal, folder: TempDir::new().unwrap(), _consumer: consumer };
        for cents in ["120", "a lot", "80"] {
            shop.sell(cents).await;
        }
        Some(shop)
    }

    async fn sell(&self, cents: &str) {
        let mut redis = self.server.connection().await;
        let () = redis::cmd("XADD").arg(&["sales", "*", "cents", cents]).query_async(&mut redis).await.unwrap();
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    /// Begins the live view, whose exit code the shell shows.
    async fn begin(&self) {
        let (binary, url, file) = (env!("CARGO_BIN_EXE_atomic-streams"), self.server.url(), self.pid_file());
        self.terminal.line(&format!(
            "REDIS_URL={url} sh -c 'echo $$ >{}; exec {binary} top --every 200ms'; echo ended with $?",
            file.display()
        ));
        self.until("the subscription is shown", &["till-1", "active", "RATE/S"]).await;
    }

    async fn until(&self, what: &str, texts: &[&str]) -> String {
        self.terminal.until(what, |screen| texts.iter().all(|text| screen.contains(text))).await
    }

    async fn signal(&self, signal: Signal) {
        let pid = std::fs::read_to_string(self.pid_file()).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The terminal's settings, as the shell finds them.
    async fn settings(&self, name: &str) -> String {
        let file = self.folder.path().join(name);
        self.terminal.line(&format!("stty -g >{0}.part; mv {0}.part {0}", file.display()));
        eventually("the settings are written", async || std::fs::read_to_string(&file).ok()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_lead_through_it_and_the_terminal_is_given_back() {
    let Some(shop) = Shop::open().await else { return };
    let terminal = &shop.terminal;
    let before = shop.settings("before").await;
    terminal.line("echo what was there");
    shop.begin().await;
    assert!(terminal.is_full_screen() && !terminal.shows_cursor());
    shop.until("its dead letter is counted", &["LETTERS"]).await;

    terminal.press(&["Enter"]);
    shop.until("its record is shown", &["position ", "epoch 1", "lease ", "head "]).await;
    terminal.press(&["End"]);
    shop.until("its state and its dead letter are", &["takings: 200", "cents are a number", "sales:dead"]).await;
    shop.sell("50").await;
    shop.until("the state follows", &["takings: 250"]).await;
    terminal.press(&["Escape"]);
    shop.until("the list is back", &["STREAM", "RATE/S"]).await;

    terminal.press(&["/", "n", "o", "n", "e"]);
    shop.until("nothing matches", &["/none", "no subscription matches"]).await;
    terminal.press(&["Escape"]);
    shop.until("the list is back", &["till-1"]).await;
    terminal.press(&["?"]);
    shop.until("help is shown", &["any key closes this"]).await;
    terminal.press(&["q"]);
    shop.until("the list is back", &["till-1"]).await;
    terminal.press(&["p"]);
    shop.until("it pauses", &["PAUSED"]).await;
    terminal.press(&["p"]);
    terminal.until("it goes on", |screen| !screen.contains("PAUSED")).await;

    terminal.resize(30, 6);
    terminal.until("it fits a small screen", |screen| screen.contains("sales") && !screen.contains("RATE/S")).await;
    terminal.resize(100, 24);
    shop.until("it fits the large one", &["RATE/S", "LETTERS"]).await;

    terminal.press(&["q"]);
    shop.until("the shell is back", &["ended with 0", "what was there"]).await;
    assert!(!terminal.is_full_screen() && terminal.shows_cursor());
    assert_eq!(shop.settings("after").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_it_with_the_terminal_given_back() {
    let Some(shop) = Shop::open().await else { return };
    let before = shop.settings("before").await;
    for (signal, name) in [(Signal::TERM, "term"), (Signal::INT, "int"), (Signal::HUP, "hup")] {
        shop.terminal.line("clear");
        shop.begin().await;
        shop.signal(signal).await;
        shop.until("the shell is back", &["ended with 0"]).await;
        assert!(!shop.terminal.is_full_screen() && shop.terminal.shows_cursor(), "{name}");
        assert_eq!(shop.settings(name).await, before, "{name}");
    }
    shop.terminal.line("clear");
    shop.begin().await;
    shop.terminal.press(&["C-c"]);
    shop.until("the shell is back", &["ended with 0"]).await;
    assert_eq!(shop.settings("key").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_suspended_and_goes_on() {
    let Some(shop) = Shop::open().await else { return };
    let before = shop.settings("before").await;
    shop.begin().await;
    shop.terminal.press(&["C-z"]);
    shop.until("the shell is back", &["Stopped", "ready>"]).await;
    assert!(!shop.terminal.is_full_screen() && shop.terminal.shows_cursor());
    assert_eq!(shop.settings("suspended").await, before);
    shop.terminal.line("fg");
    shop.until("it is back", &["till-1", "RATE/S"]).await;
    assert!(shop.terminal.is_full_screen());
    shop.terminal.press(&["q"]);
    shop.until("the shell is back", &["ready>"]).await;
    assert_eq!(shop.settings("after").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_leaves_the_figures_and_comes_back_by_itself() {
    let Some(shop) = Shop::open().await else { return };
    shop.begin().await;
    shop.until("all are handled", &["active", " 0 "]).await;
    shop.server.kill();
    shop.until("it says so", &["NO ANSWER since", "till-1", "active"]).await;
    shop.server.restart().await;
    shop.terminal.until("it is back", |screen| screen.contains("till-1") && !screen.contains("NO ANSWER")).await;
    shop.terminal.press(&["q"]);
    shop.until("the shell is back", &["ended with 0"]).await;
}
