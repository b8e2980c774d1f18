//! Waiting until a server answers.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, ErrorKind, ServerErrorKind};

use crate::wait::Patience;

const LIMIT: Duration = Duration::from_secs(10);

/// Waits for PONG: while the server loads its data it answers LOADING, which is not yet. `still_starting` ends the
/// wait with a reason when the server has given up; `pid` tells a test's own server from another on its port.
pub(super) async fn until_ready(
    url: &str,
    pid: Option<u32>,
    still_starting: impl Fn() -> Result<(), String>,
) -> Result<(), String> {
    let client = Client::open(url).map_err(|e| format!("{url} is no address of a server: {e}"))?;
    let patience = Patience::new(LIMIT);
    loop {
        still_starting()?;
        let Err(reason) = ping(&client, pid).await else { return Ok(()) };
        if !patience.lasts().await {
            return Err(format!("no PONG from {url} within {} s: {reason}", LIMIT.as_secs()));
        }
    }
}

async fn ping(client: &Client, pid: Option<u32>) -> Result<(), String> {
    let quick = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(1)))
        .set_response_timeout(Some(Duration::from_secs(1)));
    let attempt = async {
        let mut connection = client.get_multiplexed_async_connection_with_config(&quick).await?;
        let _: String = redis::cmd("PING").query_async(&mut connection).await?;
        redis::cmd("INFO").arg("server").query_async::<String>(&mut connection).await
    };
    let info = match attempt.await {
        Ok(info) => info,
        // Whoever cannot ask INFO has got an answer from a running server all the same.
        Err(e) if e.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => return Ok(()),
        Err(e) => return Err(e.to_string()),
    };
    match pid {
        Some(pid) if !info.contains(&format!("process_id:{pid}\r\n")) => {
            Err("another server answers on this port".into())
        }
        _ => Ok(()),
    }
}
