//! Time, processor time and memory of a worker, measured by its own process.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::Failure;

/// What one run took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// From the start, attach included, until the last entry was committed.
    pub elapsed_s: f64,
    /// Processor time of the worker's process in that time.
    pub client_s: f64,
    /// Processor time of the server in that time.
    pub server_s: f64,
    /// The most memory that the worker's process ever had.
    pub peak_rss_kb: u64,
    /// The counter, as the server has it at the end; for a worker that only reads, the number of entries it saw.
    pub state: Option<u64>,
}

/// A running measurement.
pub struct Meter {
    connection: MultiplexedConnection,
    server: f64,
    client: Duration,
    began: Instant,
}

impl Meter {
    /// Begins now.
    pub async fn start(url: &str) -> Result<Self, Failure> {
        let mut connection = connect(url).await?;
        let server = server_cpu_s(&mut connection).await?;
        Ok(Self { connection, server, client: process_cpu(), began: Instant::now() })
    }

    /// Ends now.
    pub async fn stop(mut self) -> Result<Sample, Failure> {
        let elapsed = self.began.elapsed();
        let client = process_cpu() - self.client;
        let server = server_cpu_s(&mut self.connection).await? - self.server;
        Ok(Sample {
            elapsed_s: elapsed.as_secs_f64(),
            client_s: client.as_secs_f64(),
            server_s: server,
            peak_rss_kb: memory_kb("VmHWM"),
            state: None,
        })
    }
}

/// A connection as this library makes them: no limit on replies, and nothing waits in the kernel.
pub async fn connect(url: &str) -> Result<MultiplexedConnection, Failure> {
    let tcp = TcpSettings::default().set_nodelay(true);
    let client = Client::open(url.into_connection_info()?.set_tcp_settings(tcp))?;
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

/// Processor time of the server so far, in seconds.
pub async fn server_cpu_s(connection: &mut MultiplexedConnection) -> Result<f64, Failure> {
    let info: String = redis::cmd("INFO").arg("cpu").query_async(connection).await?;
    let field =
        |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.parse::<f64>().ok());
    match (field("used_cpu_user"), field("used_cpu_sys")) {
        (Some(user), Some(system)) => Ok(user + system),
        _ => Err("the server does not say what processor time it used".into()),
    }
}

/// Processor time of this process so far, ended threads included.
pub fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A figure of /proc/self/status: `VmHWM` the most memory so far, `VmRSS` that of now. 0 where there is no such file.
pub fn memory_kb(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
