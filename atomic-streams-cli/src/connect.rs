//! The server that is asked.

mod certificates;

use atomic_streams::admin::Admin;
use atomic_streams::redis::aio::MultiplexedConnection;
use atomic_streams::redis::{Client, IntoConnectionInfo};
use atomic_streams::{DeadLetters, Doctor, Error, Producer, Retention};

use crate::args::ServerArgs;
use crate::exit::Failure;

/// The server of `--url` or `REDIS_URL`: a node, a socket, or the primary that sentinels name.
pub struct Server {
    address: Address,
    name: String,
}

enum Address {
    /// Node, socket or sentinels: the library reads it.
    Url(String),
    /// A node with certificates of its own.
    Client(Box<Client>),
}

impl Server {
    /// Nothing is sent yet.
    pub fn of(args: &ServerArgs) -> Result<Self, Failure> {
        // Read here already, so that what is wrong with it comes before anything else.
        Admin::new(&args.url)?;
        let name = name_of(&args.url);
        let address = match certificates::client(args, &name)? {
            Some(client) => Address::Client(Box::new(client)),
            None => Address::Url(args.url.clone()),
        };
        Ok(Self { address, name })
    }

    /// Which server it is, without user and password.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For subscriptions, copies and entries.
    pub fn admin(&self) -> Result<Admin, Error> {
        match &self.address {
            Address::Url(url) => Admin::new(url),
            Address::Client(client) => Ok(Admin::with_client(client)),
        }
    }

    /// For the dead letters in this stream.
    pub fn dead_letters(&self, stream: &str) -> Result<DeadLetters, Error> {
        match &self.address {
            Address::Url(url) => DeadLetters::new(url, stream),
            Address::Client(client) => DeadLetters::with_client(client, stream),
        }
    }

    /// For trimming this stream.
    pub fn retention(&self, stream: &str) -> Result<Retention, Error> {
        match &self.address {
            Address::Url(url) => Retention::new(url, stream),
            Address::Client(client) => Retention::with_client(client, stream),
        }
    }

    /// For what the server's settings mean.
    pub fn doctor(&self) -> Result<Doctor, Error> {
        match &self.address {
            Address::Url(url) => Doctor::new(url),
            Address::Client(client) => Ok(Doctor::with_client(client)),
        }
    }

    /// For adding entries.
    pub fn producer(&self) -> Result<Producer, Error> {
        match &self.address {
            Address::Url(url) => Producer::new(url),
            Address::Client(client) => Producer::with_client(client),
        }
    }

    /// A new connection, for what none of the above asks.
    pub async fn connection(&self) -> Result<MultiplexedConnection, Error> {
        self.admin()?.connection().await
    }
}

/// Host and port, or sentinels and name: what an address says besides secrets.
fn name_of(url: &str) -> String {
    if let Some((scheme, rest)) = url.split_once("://")
        && scheme.to_ascii_lowercase().ends_with("+sentinel")
    {
        let (authority, primary) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
        return format!("{} by {hosts}", primary.split('/').next().unwrap_or_default());
    }
    url.into_connection_info().map_or_else(
        |_| "the server".to_owned(),
        |info| match info.redis_settings().db() {
            0 => info.addr().to_string(),
            database => format!("{}/{database}", info.addr()),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_server_has_no_secret() {
        for (url, name) in [
            ("redis://127.0.0.1:6379", "127.0.0.1:6379"),
            ("redis://user:secret@host:7000/3", "host:7000/3"),
            ("redis+sentinel://user:secret@a:26379,b/mymaster/2", "mymaster by a:26379,b"),
            ("redis+sentinel://:sec@ret@a/mymaster", "mymaster by a"),
            ("secret", "the server"),
        ] {
            assert_eq!(name_of(url), name, "{url}");
        }
    }
}
