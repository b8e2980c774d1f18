//! Reading and writing whatever a socket takes now.

use std::io;

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::settings::Settings;

/// Takes what has arrived; true at the end of the stream.
pub(super) fn read(stream: &TcpStream, into: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 64 * 1024];
    match stream.try_read(&mut buffer) {
        Ok(0) => true,
        Ok(length) => {
            into.extend_from_slice(&buffer[..length]);
            false
        }
        Err(e) => e.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Gives what the socket takes, at most `limit` bytes, and removes it.
pub(super) fn write(stream: &TcpStream, from: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
    let limit = limit.min(from.len());
    match stream.try_write(&from[..limit]) {
        Ok(written) => {
            from.drain(..written);
            Ok(written)
        }
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(e) => Err(e),
    }
}

/// Reads until the client closes or the proxy gets other orders.
pub(super) async fn drain(client: &TcpStream, orders: &mut watch::Receiver<Settings>) {
    let mut buffer = [0; 1024];
    loop {
        tokio::select! {
            _ = orders.changed() => return,
            _ = client.readable() => {}
        }
        match client.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
