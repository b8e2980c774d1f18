//! The live view in a real terminal, and one frame of it without a terminal, on a real server.

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

/// A server with a consumer that handles sales and gives up those that are none.
struct Sales {
    server: Server,
    consumer: ConsumerHandle,
}

impl Sales {
    async fn begin() -> Self {
        let server = Server::builder().append_only("always").start().await;
        let consumer = Consumer::builder("sales", "till")
            .redis_url(server.url())
            .owner_name("till-1")
            .on_failure(OnFailure::dead_letter("sales:dead"))
            .handler(Till::default())
            .spawn()
            .await
            .unwrap();
        let sales = Self { server, consumer };
        for cents in ["120", "a lot", "80"] {
            sales.sell(cents).await;
        }
        sales
    }

    async fn sell(&self, cents: &str) {
        let mut redis = self.server.connection().await;
        let () = redis::cmd("XADD").arg(&["sales", "*", "cents", cents]).query_async(&mut redis).await.unwrap();
    }
}

/// Sales, and a terminal to see them in.
struct Shop {
    sales: Sales,
    terminal: Tmux,
    folder: TempDir,
}

impl Shop {
    async fn open() -> Option<Self> {
        let terminal = Tmux::start(100, 24).await?;
        Some(Self { sales: Sales::begin().await, terminal, folder: TempDir::new().unwrap() })
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    /// Begins the live view; `name` is for [`ended`](Self::ended).
    async fn begin(&self, name: &str) {
        let (binary, url, file) = (env!("CARGO_BIN_EXE_atomic-streams"), self.sales.server.url(), self.pid_file());
        // What the shell will say is not yet in what is written to it.
        self.terminal.line(&format!(
            "REDIS_URL={url} sh -c 'echo $$ >{}; exec {binary} top --every 200ms'; echo end''ed {name} $?",
            file.display()
        ));
        self.until("the subscription is shown", &["till-1", "active", "RATE/S"]).await;
    }

    /// Waits until the live view of this name has ended, with exit code 0.
    async fn ended(&self, name: &str) -> String {
        self.until("the shell is back", &[&format!("ended {name} 0")]).await
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
    shop.begin("keys").await;
    assert!(terminal.is_full_screen() && !terminal.shows_cursor());
    shop.until("its dead letter is counted", &["LETTERS"]).await;

    terminal.press(&["Enter"]);
    shop.until("its record is shown", &["position ", "epoch 1", "lease ", "head "]).await;
    terminal.press(&["End"]);
    shop.until("its state and its dead letter are", &["takings: 200", "cents are a number", "sales:dead"]).await;
    shop.sales.sell("50").await;
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
    let screen = shop.ended("keys").await;
    assert!(screen.contains("what was there"), "{screen}");
    assert!(!terminal.is_full_screen() && terminal.shows_cursor());
    assert_eq!(shop.settings("after").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_it_with_the_terminal_given_back() {
    let Some(shop) = Shop::open().await else { return };
    let before = shop.settings("before").await;
    for (signal, name) in [(Signal::TERM, "term"), (Signal::INT, "int"), (Signal::HUP, "hup")] {
        shop.begin(name).await;
        shop.signal(signal).await;
        shop.ended(name).await;
        assert!(!shop.terminal.is_full_screen() && shop.terminal.shows_cursor(), "{name}");
        assert_eq!(shop.settings(name).await, before, "{name}");
    }
    shop.begin("key").await;
    shop.terminal.press(&["C-c"]);
    shop.ended("key").await;
    assert_eq!(shop.settings("key").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_suspended_and_goes_on() {
    let Some(shop) = Shop::open().await else { return };
    let before = shop.settings("before").await;
    shop.begin("first").await;
    shop.terminal.press(&["C-z"]);
    shop.until("the shell is back", &["Stopped"]).await;
    assert!(!shop.terminal.is_full_screen() && shop.terminal.shows_cursor());
    assert_eq!(shop.settings("suspended").await, before);
    shop.terminal.line("fg; echo end''ed again $?");
    shop.until("it is back", &["till-1", "RATE/S"]).await;
    assert!(shop.terminal.is_full_screen());
    shop.terminal.press(&["q"]);
    shop.ended("again").await;
    assert_eq!(shop.settings("after").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_leaves_the_figures_and_comes_back_by_itself() {
    let Some(shop) = Shop::open().await else { return };
    shop.begin("outage").await;
    shop.until("all are handled", &["active", " 0 "]).await;
    shop.sales.server.kill();
    shop.until("it says so", &["NO ANSWER since", "till-1", "active"]).await;
    shop.sales.server.restart().await;
    shop.terminal.until("it is back", |screen| screen.contains("till-1") && !screen.contains("NO ANSWER")).await;
    shop.terminal.press(&["q"]);
    shop.ended("outage").await;
}

fn run(url: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_atomic-streams"));
    command.arg("top").args(args).env_clear().env("REDIS_URL", url).env("LANG", "C.UTF-8");
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_one_frame_is_printed_if_that_is_asked_for() {
    let sales = Sales::begin().await;
    eventually("all are handled", async || sales.consumer.stats().processed == 3).await;
    let url = sales.server.url();
    let (code, frame, errors) = run(url, &["--once", "--every", "200ms"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{frame}");
    let lines: Vec<Vec<&str>> = frame.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][1..3], ["1", "subscription"], "{frame}");
    assert_eq!(lines[1][..6], ["STREAM", "GROUP", "STATE", "OWNER", "RATE/S", "LAG"], "{frame}");
    let row = ["sales", "till", "active", "till-1", "0", "0", "-", "\u{2581}", "-", "1", "0", "0"];
    assert_eq!(lines[2], row, "{frame}");
    assert_eq!(lines.len(), 4, "{frame}");
    assert!(!frame.contains('\u{1b}'), "{frame}");

    let (code, frame, _) = run(url, &["--once", "--every", "200ms", "--filter", "nobody"]);
    assert!(code == Some(0) && frame.contains("no subscription matches"), "{frame}");
    let (code, frame, _) = run(url, &["--once", "--every", "200ms", "--dead-letters", "another"]);
    assert!(code == Some(0) && frame.lines().nth(2).unwrap().ends_with("0      0       0"), "{frame}");
    for (args, why) in [
        (&[][..], "--once prints one frame"),
        (&["--once", "--json"], "atomic-streams ls --json"),
        (&["--every", "1ms"], "from 200ms to 1h"),
        (&["--sort", "size"], "possible values: name"),
    ] {
        let (code, output, errors) = run(url, args);
        assert_eq!((code, output.as_str()), (Some(2), ""));
        assert!(errors.contains(why), "{errors}");
    }
    sales.server.kill();
    let (code, output, errors) = run(url, &["--once"]);
    assert_eq!((code, output.as_str()), (Some(1), ""), "{errors}");
}
