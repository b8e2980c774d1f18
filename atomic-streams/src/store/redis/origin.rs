//! What is known of a server before anybody connects to it.

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError};

use super::sentinel::Sentinel;
use crate::error::{Error, ErrorKind};

/// Where a server is found.
#[derive(Clone)]
pub(crate) enum Origin {
    /// At this address.
    Node(Box<ConnectionInfo>),
    /// Where the sentinels say.
    Sentinels(Box<Sentinel>),
}

impl Origin {
    /// The server at an address in words.
    pub fn of_url(url: &str) -> Result<Self, Error> {
        match Sentinel::of_url(url) {
            Some(sentinel) => Ok(Self::Sentinels(Box::new(sentinel?))),
            None => Ok(Self::Node(Box::new(info_of(url)?))),
        }
    }

    /// The server that a client knows.
    pub fn of_client(client: &Client) -> Self {
        Self::Node(Box::new(client.get_connection_info().clone()))
    }

    /// Whether both lead to the same server as the same user; nobody can say so of certificates.
    pub fn is_surely(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Node(own), Self::Node(others)) => is_same(own, others),
            (Self::Sentinels(own), Self::Sentinels(others)) => own.is_surely(others),
            _ => false,
        }
    }
}

/// Whether both lead to the same server as the same user, without certificates of their own.
pub(super) fn is_same(own: &ConnectionInfo, others: &ConnectionInfo) -> bool {
    let (mine, theirs) = (own.redis_settings(), others.redis_settings());
    !has_certificates(own)
        && !has_certificates(others)
        && own.addr() == others.addr()
        && (mine.db(), mine.username(), mine.password()) == (theirs.db(), theirs.username(), theirs.password())
        && mine.protocol() == theirs.protocol()
}

/// The same way to another address; without a host, to another port of the same one.
pub(super) fn at(info: &ConnectionInfo, host: Option<String>, port: u16) -> ConnectionInfo {
    let of = |own: &String| host.clone().unwrap_or_else(|| own.clone());
    let addr = match info.addr() {
        ConnectionAddr::TcpTls { host, insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host: of(host), port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        ConnectionAddr::Tcp(host, _) => ConnectionAddr::Tcp(of(host), port),
        _ => ConnectionAddr::Tcp(host.unwrap_or_default(), port),
    };
    info.clone().set_addr(addr)
}

/// Certificates cannot be compared, and may say who somebody is.
fn has_certificates(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { tls_params: Some(_), .. })
}

/// Reads an address. What it says may be a secret, so no error repeats any of it.
pub(super) fn info_of(url: &str) -> Result<ConnectionInfo, Error> {
    let supported = ConnectionAddr::TcpTls { host: String::new(), port: 0, insecure: false, tls_params: None };
    if let Some(problem) = problem(url, supported.is_supported()) {
        return Err(Error::new(ErrorKind::InvalidConfig, problem));
    }
    url.into_connection_info().map_err(|error| unreadable(&error))
}

/// What is wrong with the beginning of an address.
fn problem(url: &str, tls: bool) -> Option<String> {
    const SHAPE: &str = "an address is `redis://[user:password@]host[:port][/database]`";
    let Some((scheme, _)) = url.split_once("://") else {
        return Some(format!("the server's address cannot be used: {SHAPE}"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "rediss" | "valkeys" if !tls => Some(
            "the server's address asks for TLS, which this build leaves out: switch on the feature `tls` of the crate \
             `atomic-streams`"
                .to_owned(),
        ),
        "redis" | "rediss" | "valkey" | "valkeys" | "unix" | "redis+unix" | "valkey+unix" => None,
        // It may be a password in the wrong place.
        _ => Some(format!(
            "the server's address cannot be used, its scheme is none of `redis`, `rediss`, `redis+sentinel`, \
             `rediss+sentinel` and `unix`: {SHAPE}"
        )),
    }
}

fn unreadable(error: &RedisError) -> Error {
    // The detail quotes the address.
    let words = error.to_string();
    let words = match error.detail() {
        Some(detail) => words.strip_suffix(detail).map_or("", |rest| rest.trim_end_matches([' ', ':'])),
        None => words.as_str(),
    };
    Error::new(
        ErrorKind::InvalidConfig,
        format!(
            "the server's address cannot be used ({words}): it is `redis://[user:password@]host[:port][/database]`, with \
             characters such as `@`, `/`, `#`, `?` and `%` of user and password written as `%40`, `%2F`, `%23`, `%3F` and `%25`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_for_tls_name_the_feature_where_it_is_off() {
        for url in ["rediss://host", "valkeys://host", "REDISS://host"] {
            assert_eq!(problem(url, true), None);
            assert!(problem(url, false).unwrap().contains("feature `tls`"), "{url}");
        }
        assert_eq!(problem("redis://host", false), None);
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn this_build_is_without_tls() {
        let error = info_of("rediss://host").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("feature `tls`"), "{error}");
    }

    #[test]
    fn errors_repeat_nothing_of_an_address() {
        for url in [
            "secret",
            "secret://host",
            "redis:secret@host",
            "redis://:sec#secret@host",
            "redis://:sec/secret@host",
            "redis://:secret@host:port",
            "redis://:secret@",
            "redis://user:1/secret@host",
            "redis://host/secret",
            "redis://host/?protocol=secret",
            "redis://:secret%ff@host",
            "redis://secret%ff@host",
            "unix:///socket?db=secret",
            "redis+sentinel://:secret@/",
            "redis+sentinel://:secret@host",
            "redis+sentinel://host:secret/name",
            "redis+sentinel://host/name/secret",
        ] {
            let Err(error) = Origin::of_url(url) else { panic!("{url} is read") };
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("secret"), "{url}: {shown}");
        }
    }

    #[test]
    fn a_password_may_have_any_characters() {
        let info = info_of("redis://us%40er:p%40%2F%23%3F%25%3A%20w@[::1]:7000/3").unwrap();
        assert_eq!(info.redis_settings().username(), Some("us@er"));
        assert_eq!(info.redis_settings().password(), Some("p@/#?%: w"));
        assert_eq!(info.redis_settings().db(), 3);
        assert_eq!(info.addr().to_string(), "::1:7000");
    }
}
