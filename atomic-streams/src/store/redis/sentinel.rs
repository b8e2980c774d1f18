//! Which server is the primary, as Redis Sentinel says.

use std::fmt;

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::origin::{at, info_of, is_same};
use crate::error::{Error, ErrorKind};

const DEFAULT_PORT: u16 = 26_379;

/// A primary that is found through [Redis Sentinel](https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/),
/// which promotes a replica when it fails.
///
/// Every connection asks anew where the primary is: the sentinels are asked one after the other until one names a server that
/// says of itself that it is a primary. While there is none, a consumer waits, says so in its status, and asks again.
///
/// Where one user and password do for the primary and the sentinels have none, an address says the same:
/// `redis+sentinel://[user:password@]host[:port][,host[:port]…]/NAME[/database]`, or `rediss+sentinel://…` with TLS to sentinels
/// and primary. It stands wherever a `redis://` address does.
///
/// ```
/// use atomic_streams::{Consumer, Sentinel, redis::Client};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sentinel = Sentinel::new("mymaster", ["redis://:watch@10.0.0.1:26379", "redis://:watch@10.0.0.2:26379"])?
///     // User, password and database; the host is the one that the sentinels name.
///     .primary_like(&Client::open("redis://app:secret@primary/3")?);
/// let builder = Consumer::builder("sales", "billing").sentinel(&sentinel);
/// # let _ = builder;
/// # Ok(())
/// # }
/// ```
///
/// The user needs `+role` besides what a consumer, producer or reader of dead letters needs anyway; the user at the sentinels
/// `+sentinel|get-master-addr-by-name`.
#[derive(Clone)]
pub struct Sentinel {
    name: String,
    sentinels: Vec<ConnectionInfo>,
    primary: ConnectionInfo,
}

impl Sentinel {
    /// The primary that these sentinels know by this name. An address without a port means port 26379.
    ///
    /// # Errors
    /// [`InvalidConfig`](ErrorKind::InvalidConfig): an address cannot be read, there is none, or the name is empty.
    pub fn new<I>(name: impl Into<String>, urls: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let infos: Result<Vec<_>, Error> = urls.into_iter().map(|url| sentinel_of(url.as_ref())).collect();
        Self::of(name.into(), infos?)
    }

    /// The primary that the sentinels behind these clients know by this name: for sentinels with certificates of their own.
    ///
    /// # Errors
    /// [`InvalidConfig`](ErrorKind::InvalidConfig): there are none, or the name is empty.
    pub fn with_clients<'a>(
        name: impl Into<String>,
        clients: impl IntoIterator<Item = &'a Client>,
    ) -> Result<Self, Error> {
        Self::of(name.into(), clients.into_iter().map(|client| client.get_connection_info().clone()).collect())
    }

    /// How the primary is connected to: as this client would connect, with its user, password, database, TLS and certificates,
    /// but at the host and port that the sentinels name. By default without user and password, over plain TCP.
    #[must_use]
    pub fn primary_like(mut self, client: &Client) -> Self {
        self.primary = client.get_connection_info().clone();
        self
    }

    fn of(name: String, sentinels: Vec<ConnectionInfo>) -> Result<Self, Error> {
        let invalid = |words: &str| Err(Error::new(ErrorKind::InvalidConfig, words));
        if name.is_empty() {
            return invalid("Sentinel is asked for a primary by its name: give the one in `sentinel monitor NAME …`");
        }
        if sentinels.is_empty() {
            return invalid("no sentinel is named: give the address of at least one");
        }
        let primary = ConnectionAddr::Tcp(String::new(), 0).into_connection_info();
        let primary = primary.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        Ok(Self { name, sentinels, primary })
    }

    /// Reads an address that begins with `redis+sentinel://` or `rediss+sentinel://`.
    pub(super) fn of_url(url: &str) -> Option<Result<Self, Error>> {
        let (scheme, rest) = url.split_once("://")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "redis+sentinel" => "redis",
            "rediss+sentinel" => "rediss",
            _ => return None,
        };
        Some(Self::of_parts(scheme, rest))
    }

    fn of_parts(scheme: &str, rest: &str) -> Result<Self, Error> {
        let invalid = || {
            Error::new(
                ErrorKind::InvalidConfig,
                "the sentinels' address cannot be read: it is \
                 `redis+sentinel://[user:password@]host[:port][,host[:port]…]/NAME[/database]`",
            )
        };
        let (authority, path) = rest.split_once('/').ok_or_else(invalid)?;
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (format!("{credentials}@"), hosts),
            None => (String::new(), authority),
        };
        let (name, database) = path.split_once('/').unwrap_or((path, ""));
        if name.is_empty() || name.contains(['?', '#']) {
            return Err(invalid());
        }
        let sentinels: Result<Vec<_>, Error> =
            hosts.split(',').map(|host| sentinel_of(&format!("{scheme}://{host}"))).collect();
        let primary = info_of(&format!("{scheme}://{credentials}primary/{database}"))?;
        Ok(Self { primary, ..Self::of(name.to_owned(), sentinels?)? })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn sentinels(&self) -> &[ConnectionInfo] {
        &self.sentinels
    }

    /// The primary at this address.
    pub(super) fn primary_at(&self, host: String, port: u16) -> ConnectionInfo {
        at(&self.primary, Some(host), port)
    }

    pub(super) fn is_surely(&self, other: &Self) -> bool {
        self.name == other.name
            && is_same(&self.primary, &other.primary)
            && self.sentinels.len() == other.sentinels.len()
            && self.sentinels.iter().zip(&other.sentinels).all(|(own, others)| is_same(own, others))
    }
}

/// Shows who is asked for what, without users and passwords.
impl fmt::Debug for Sentinel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.sentinels.iter().map(|info| info.addr().to_string()).collect();
        f.debug_struct("Sentinel").field("name", &self.name).field("sentinels", &addresses).finish_non_exhaustive()
    }
}

/// The address of a sentinel, which has another port than a server where none is named.
fn sentinel_of(url: &str) -> Result<ConnectionInfo, Error> {
    let info = info_of(url)?;
    let has_port = redis::parse_redis_url(url).is_some_and(|url| url.port().is_some());
    Ok(match info.addr().clone() {
        _ if has_port => info,
        ConnectionAddr::Tcp(host, _) => info.set_addr(ConnectionAddr::Tcp(host, DEFAULT_PORT)),
        ConnectionAddr::TcpTls { host, insecure, tls_params, .. } => {
            info.set_addr(ConnectionAddr::TcpTls { host, port: DEFAULT_PORT, insecure, tls_params })
        }
        _ => info,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Sentinel {
        Sentinel::of_url(url).unwrap().unwrap()
    }

    #[test]
    fn an_address_names_sentinels_primary_and_credentials() {
        let sentinel = read("redis+sentinel://us%40er:p%2Fw@a:7000,b,[::1]:7002/mymaster/3");
        assert_eq!(sentinel.name(), "mymaster");
        let addresses: Vec<String> = sentinel.sentinels().iter().map(|info| info.addr().to_string()).collect();
        assert_eq!(addresses, ["a:7000", "b:26379", "::1:7002"]);
        assert!(sentinel.sentinels().iter().all(|info| info.redis_settings().password().is_none()));
        let primary = sentinel.primary_at("10.0.0.9".into(), 6_380);
        assert_eq!(primary.addr().to_string(), "10.0.0.9:6380");
        let settings = primary.redis_settings();
        assert_eq!((settings.username(), settings.password(), settings.db()), (Some("us@er"), Some("p/w"), 3));
    }

    #[test]
    fn sentinels_may_have_passwords_of_their_own() {
        let primary = Client::open("redis://:theirs@anything/1").unwrap();
        let sentinel =
            Sentinel::new("mymaster", ["redis://:own@a", "redis://:own@b:1"]).unwrap().primary_like(&primary);
        let own: Vec<_> = sentinel.sentinels().iter().map(|info| info.redis_settings().password()).collect();
        assert_eq!(own, [Some("own"), Some("own")]);
        assert_eq!(sentinel.primary_at("h".into(), 1).redis_settings().password(), Some("theirs"));
        let shown = format!("{sentinel:?}");
        assert!(shown.contains("a:26379") && !shown.contains("own") && !shown.contains("theirs"), "{shown}");
    }

    #[test]
    #[cfg(feature = "tls")]
    fn tls_goes_for_sentinels_and_primary() {
        let sentinel = read("rediss+sentinel://a,b/mymaster");
        let mut all: Vec<ConnectionInfo> = sentinel.sentinels().to_vec();
        all.push(sentinel.primary_at("h".into(), 1));
        assert!(all.iter().all(|info| matches!(info.addr(), ConnectionAddr::TcpTls { insecure: false, .. })));
    }

    #[test]
    fn who_is_the_same_is_told_by_all_parts() {
        let one = read("redis+sentinel://u:p@a,b/m");
        assert!(one.is_surely(&read("redis+sentinel://u:p@a,b/m")));
        for other in ["u:p@a,b/n", "u:q@a,b/m", "v:p@a,b/m", "u:p@a/m", "u:p@a,c/m", "u:p@a,b/m/1"] {
            assert!(!one.is_surely(&read(&format!("redis+sentinel://{other}"))), "{other}");
        }
    }

    #[test]
    fn nobody_to_ask_and_nothing_to_ask_for_are_refused() {
        let none: [&str; 0] = [];
        for refused in [Sentinel::new("", ["redis://a"]), Sentinel::new("m", none), Sentinel::new("m", ["a:1"])] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidConfig);
        }
    }
}
