//! A proxy in front of a server, with faults.

mod bytes;
mod connection;
mod flow;
mod hold;
mod resp;
mod settings;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::Client;
use redis::aio::MultiplexedConnection;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::server::connect;
use connection::serve;
use hold::HoldPoint;
use settings::{Shared, Side};

pub use hold::Hold;

/// What a proxy does to the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: they pass.
    Pass,
    /// They pass this much later, in each direction.
    Latency(Duration),
    /// Nothing is read from either side. Connections are still accepted, as by a host that has stopped.
    BlackHole,
    /// Every connection, open or new, is reset (RST).
    Reset,
    /// Requests pass; replies are thrown away. A connection that lost a reply stays mute until it is closed, since
    /// its client would take the next reply for the lost one.
    DropReplies,
    /// Requests pass; after this many more bytes of reply the connection is closed.
    CutReplyAfter(usize),
}

/// What [`Proxy::retarget`] does to the connections that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// They stay with the old server.
    Stay,
    /// They go on with a new connection to the new server, and the client notices nothing. Those with a request
    /// in flight are closed, as there is no true reply to give.
    Move,
    /// The same, and requests in flight are sent again to the new server.
    MoveAndResend,
    /// They are closed.
    Cut,
}

/// A TCP proxy in front of a server; it listens on 127.0.0.1 until it is dropped.
///
/// It reads the bytes as requests and replies of RESP, the protocol of Redis, one reply to a request. So it cannot
/// stand in front of TLS, and the counting does not fit SUBSCRIBE and MONITOR. What a connection has been told (AUTH,
/// SELECT, CLIENT…) is not told again to the server it moves to.
///
/// A request that the proxy has taken is delivered even when its client is gone by then, as the network does it.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy in front of the server at `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port for the proxy");
        let addr = listener.local_addr().expect("the address of the proxy");
        let shared = Arc::new(Shared::new(target));
        let acceptor = tokio::spawn(accept(listener, shared.clone()));
        Self { addr, shared, acceptor }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its address for a client, without a password.
    pub fn url(&self) -> String {
        format!("redis://{}/", self.addr)
    }

    /// A client that goes through it.
    pub fn client(&self) -> Client {
        Client::open(self.url()).expect("the URL of the proxy")
    }

    /// A new connection through it, which waits for its replies as long as they take.
    pub async fn connection(&self) -> MultiplexedConnection {
        connect(&self.client()).await.unwrap_or_else(|e| panic!("no connection through the proxy: {e}"))
    }

    /// Sets the fault of all connections, open and new, until another is set.
    pub fn set(&self, fault: Fault) {
        self.shared.change(|settings| {
            settings.fault = fault;
            settings.fault_epoch += 1;
        });
    }

    /// From now on holds every request whose bytes contain `needle`, and what follows it on its connection: it
    /// does not reach the server until the [`Hold`] is released.
    pub fn hold_requests_containing(&self, needle: &[u8]) -> Hold {
        self.hold(Side::Request, needle)
    }

    /// From now on holds every reply to a request whose bytes contain `needle`, and what follows it: the server has
    /// done the deed, and the client does not know.
    pub fn hold_replies_after_request(&self, needle: &[u8]) -> Hold {
        self.hold(Side::Reply, needle)
    }

    fn hold(&self, side: Side, needle: &[u8]) -> Hold {
        let point = Arc::new(HoldPoint::new(side, needle));
        self.shared.change(|settings| settings.holds.push(point.clone()));
        Hold::new(point, self.shared.clone())
    }

    /// Sends new connections to another server, and does to the open ones what `existing` says.
    pub fn retarget(&self, target: SocketAddr, existing: Existing) {
        self.shared.change(|settings| {
            settings.target = target;
            settings.existing = existing;
            settings.target_epoch += 1;
        });
    }

    /// Closes every open connection; what is held or on its way is lost. New ones are accepted.
    pub fn cut_all(&self) {
        self.shared.change(|settings| settings.cut_epoch += 1);
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many of them are open. One whose client has gone counts until the server has taken every byte of it.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// How many bytes of requests went to the server.
    pub fn bytes_to_server(&self) -> u64 {
        self.shared.to_server.load(Ordering::SeqCst)
    }

    /// How many bytes of replies went to the clients.
    pub fn bytes_to_clients(&self) -> u64 {
        self.shared.to_clients.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.cut_all();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (client, _) = listener.accept().await.expect("a connection to the proxy");
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        shared.open.fetch_add(1, Ordering::SeqCst);
        // Taken here rather than by the task, so that a cut means every connection accepted before it.
        let mut orders = shared.subscribe();
        let settings = orders.borrow_and_update().clone();
        let shared = shared.clone();
        tokio::spawn(async move {
            serve(client, settings, orders, &shared).await;
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}
