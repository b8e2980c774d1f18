//! One connection through a proxy.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::bytes::{drain, read, write};
use super::flow::Flow;
use super::resp::{frame_length, is_push};
use super::settings::{Settings, Shared, Side};
use super::{Existing, Fault};

/// How a connection ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    /// In the middle of a reply, which the client is to have up to there.
    CutShort,
}

/// `settings` are those of the moment when the connection was accepted.
pub(super) async fn serve(
    client: TcpStream,
    settings: Settings,
    mut orders: watch::Receiver<Settings>,
    shared: &Shared,
) {
    let server = match settings.fault {
        Fault::Reset => None,
        _ => TcpStream::connect(settings.target).await.ok(),
    };
    let Some(server) = server else {
        // As if nothing listened here.
        let _ = client.set_zero_linger();
        return;
    };
    let mut connection = Connection::new(client, server, settings, shared);
    let end = connection.run(&mut orders).await;
    let Connection { mut client, server, .. } = connection;
    match end {
        End::Closed => {}
        End::Reset => drop(client.set_zero_linger()),
        End::CutShort => {
            drop(server);
            // Closed outright, the socket would answer further requests by a reset, and a reset takes from the
            // client what it has not read yet.
            let _ = client.shutdown().await;
            drain(&client, &mut orders).await;
        }
    }
}

/// What a connection goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Order,
    ReadClient,
    ReadServer,
    WriteServer,
    WriteClient,
    Due,
}

struct Connection<'a> {
    shared: &'a Shared,
    settings: Settings,
    client: TcpStream,
    server: TcpStream,
    client_gone: bool,
    server_gone: bool,
    /// The server has been told that no more comes.
    finished: bool,
    requests: Flow,
    replies: Flow,
    /// Bytes that are no whole frame yet.
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    in_flight: VecDeque<Arc<[u8]>>,
    /// It has lost a reply.
    mute: bool,
    /// How many bytes of reply may still go to the client.
    budget: Option<usize>,
}

impl<'a> Connection<'a> {
    fn new(client: TcpStream, server: TcpStream, settings: Settings, shared: &'a Shared) -> Self {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let mut connection = Self {
            shared,
            settings,
            client,
            server,
            client_gone: false,
            server_gone: false,
            finished: false,
            requests: Flow::new(Side::Request),
            replies: Flow::new(Side::Reply),
            from_client: Vec::new(),
            from_server: Vec::new(),
            in_flight: VecDeque::new(),
            mute: false,
            budget: None,
        };
        connection.take_budget();
        connection
    }

    async fn run(&mut self, orders: &mut watch::Receiver<Settings>) -> End {
        loop {
            let frozen = self.settings.fault == Fault::BlackHole;
            if !frozen {
                self.in_flight.extend(self.requests.admit(&self.settings));
                self.replies.admit(&self.settings);
                if let Some(end) = self.end().await {
                    return end;
                }
            }
            let due = [self.requests.next_due(), self.replies.next_due()].into_iter().flatten().min();
            let due = due.filter(|_| !frozen);
            let event = tokio::select! {
                biased;
                changed = orders.changed() => match changed {
                    Ok(()) => Event::Order,
                    Err(_) => return End::Closed,
                },
                _ = self.server.writable(), if !frozen && !self.server_gone && !self.requests.ready.is_empty() => {
                    Event::WriteServer
                }
                _ = self.client.writable(), if !frozen && !self.client_gone && !self.replies.ready.is_empty() => {
                    Event::WriteClient
                }
                _ = self.client.readable(), if !frozen && !self.client_gone => Event::ReadClient,
                _ = self.server.readable(), if !frozen && !self.server_gone => Event::ReadServer,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Event::Due,
            };
            // Before the bytes: what a client sends after an order must meet the order.
            if event == Event::Order || orders.has_changed().unwrap_or(true) {
                let new = orders.borrow_and_update().clone();
                if let Some(end) = self.obey(new).await {
                    return end;
                }
                continue;
            }
            match event {
                Event::Order | Event::Due => {}
                Event::ReadClient => self.read_client(),
                Event::ReadServer => self.read_server(),
                Event::WriteServer => self.write_server(),
                Event::WriteClient => {
                    if let Some(end) = self.write_client() {
                        return end;
                    }
                }
            }
        }
    }

    /// The end that is due without anything more to read or write.
    async fn end(&mut self) -> Option<End> {
        if self.server_gone && (self.client_gone || self.replies.is_empty()) {
            return Some(End::Closed);
        }
        if self.client_gone && self.requests.is_empty() && !self.finished {
            // The server closes in turn when it has worked off what it got, and only then is this connection over.
            self.finished = true;
            let _ = self.server.shutdown().await;
        }
        None
    }

    async fn obey(&mut self, new: Settings) -> Option<End> {
        let old = std::mem::replace(&mut self.settings, new);
        if self.settings.cut_epoch != old.cut_epoch {
            return Some(End::Closed);
        }
        if self.settings.fault_epoch != old.fault_epoch {
            self.take_budget();
        }
        if self.settings.fault == Fault::Reset {
            return Some(End::Reset);
        }
        if self.settings.target_epoch != old.target_epoch {
            return self.move_on().await;
        }
        None
    }

    fn take_budget(&mut self) {
        self.budget = match self.settings.fault {
            Fault::CutReplyAfter(bytes) => Some(bytes),
            _ => None,
        };
    }

    /// Goes on with the new server, or does not.
    async fn move_on(&mut self) -> Option<End> {
        match self.settings.existing {
            Existing::Stay => return None,
            Existing::Cut => return Some(End::Closed),
            Existing::Move if !self.in_flight.is_empty() => return Some(End::Closed),
            Existing::Move | Existing::MoveAndResend => {}
        }
        let Ok(server) = TcpStream::connect(self.settings.target).await else { return Some(End::Closed) };
        let _ = server.set_nodelay(true);
        self.server = server;
        self.server_gone = false;
        self.finished = false;
        self.from_server.clear();
        self.requests.ready = self.in_flight.iter().flat_map(|request| request.iter().copied()).collect();
        None
    }

    fn due(&self) -> Instant {
        let latency = match self.settings.fault {
            Fault::Latency(latency) => latency,
            _ => Duration::ZERO,
        };
        Instant::now() + latency
    }

    fn read_client(&mut self) {
        let due = self.due();
        self.client_gone = read(&self.client, &mut self.from_client);
        while let Some(length) = frame_length(&self.from_client) {
            let request: Arc<[u8]> = self.from_client.drain(..length).collect();
            self.requests.push(due, request.clone(), request);
        }
        if self.client_gone {
            self.replies.clear();
        }
    }

    fn read_server(&mut self) {
        let due = self.due();
        self.server_gone = read(&self.server, &mut self.from_server);
        while let Some(length) = frame_length(&self.from_server) {
            let reply: Arc<[u8]> = self.from_server.drain(..length).collect();
            let request = match is_push(&reply) {
                true => None,
                false => self.in_flight.pop_front(),
            };
            self.mute |= self.settings.fault == Fault::DropReplies;
            if !self.mute && !self.client_gone {
                self.replies.push(due, reply, request.unwrap_or_default());
            }
        }
    }

    fn write_server(&mut self) {
        match write(&self.server, &mut self.requests.ready, usize::MAX) {
            Ok(written) => {
                self.shared.to_server.fetch_add(written as u64, Ordering::SeqCst);
            }
            Err(_) => {
                self.server_gone = true;
                self.requests.clear();
            }
        }
    }

    fn write_client(&mut self) -> Option<End> {
        let Ok(written) = write(&self.client, &mut self.replies.ready, self.budget.unwrap_or(usize::MAX)) else {
            self.client_gone = true;
            self.replies.clear();
            return None;
        };
        self.shared.to_clients.fetch_add(written as u64, Ordering::SeqCst);
        if let Some(budget) = &mut self.budget {
            *budget -= written;
        }
        (self.budget == Some(0)).then_some(End::CutShort)
    }
}
