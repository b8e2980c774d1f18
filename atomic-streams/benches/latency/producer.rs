//! An open-loop producer: it sends at a constant rate whatever happens, and what is late was meant to be sent on time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redis::io::tcp::TcpSettings;
use redis::{Client, Connection, IntoConnectionInfo};

use crate::stand::Failure;
use crate::stand::workload::{ALERT_QUANTITY, SALES};

/// A producer on a thread of its own: neither its pace nor its connection has to do with those that are measured.
#[derive(Debug)]
pub struct Producer {
    thread: JoinHandle<Result<u64, Failure>>,
    stop: Arc<AtomicBool>,
    /// When the sale with the number 0 was to be sent.
    pub began: Instant,
    interval: Duration,
}

impl Producer {
    /// Sends `rate` sales a second from now on, at most `entries`. Each is worth an alert.
    pub fn start(url: &str, rate: u32, entries: u64) -> Result<Self, Failure> {
        let mut connection = connect(url)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, began, interval) = (Arc::clone(&stop), Instant::now(), Duration::from_secs(1) / rate);
        let thread = std::thread::spawn(move || {
            let mut sent = 0;
            while sent < entries && !stopping.load(Ordering::Relaxed) {
                let due = began + interval * sent as u32;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                // After a delay, all that has come due meanwhile goes at once.
                let late = began.elapsed().as_nanos() / interval.as_nanos();
                let until = entries.min(late as u64 + 1).max(sent + 1);
                let mut pipeline = redis::pipe();
                for number in sent..until {
                    pipeline.cmd("XADD").arg(SALES).arg("*").arg("sku").arg(format!("sku-{number}"));
                    pipeline.arg("quantity").arg(ALERT_QUANTITY).ignore();
                }
                pipeline.query::<()>(&mut connection)?;
                sent = until;
            }
            Ok(sent)
        });
        Ok(Self { thread, stop, began, interval })
    }

    /// How long after it was to be sent the sale with this number is, now.
    pub fn age(&self, number: u64) -> Duration {
        self.began.elapsed().saturating_sub(self.interval * number as u32)
    }

    /// Ends it; returns how many it sent.
    pub fn stop(self) -> Result<u64, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the producer panicked")?
    }
}

/// A connection that waits for replies as long as they take.
pub fn connect(url: &str) -> Result<Connection, Failure> {
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(Client::open(url.into_connection_info()?.set_tcp_settings(tcp))?.get_connection()?)
}
