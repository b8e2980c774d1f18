//! What is special about connections over TLS: who does the cryptography, and what their errors mean.

use redis::{ConnectionAddr, ErrorKind, RedisError};

use super::reply;
use crate::protocol::{Failure, Permanent, Transient};
use crate::store::StoreError;

/// Sees to it that there is somebody to do the cryptography: one that the application has chosen, or else `ring`.
///
/// Left to itself, `rustls` panics where the crates of an application have switched on several.
pub(super) fn choose_provider(addr: &ConnectionAddr) {
    #[cfg(feature = "tls")]
    if matches!(addr, ConnectionAddr::TcpTls { .. }) && rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else may have been faster, which does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    #[cfg(not(feature = "tls"))]
    let _ = addr;
}

/// What went wrong while a connection was made.
pub(super) fn explain(addr: &ConnectionAddr, error: RedisError) -> StoreError {
    let refusal = refusal(&error);
    let is_cut = error.is_connection_dropped() && !error.is_connection_refusal();
    let is_no_reply = error.kind() == ErrorKind::Parse;
    let mut store = reply::error(error);
    if let Some(advice) = refusal {
        store.failure = Failure::Permanent(Permanent::Tls);
        store.words = format!("{advice}: {}", store.words);
        return store;
    }
    let (plain, over_tls) = (matches!(addr, ConnectionAddr::Tcp(..)), matches!(addr, ConnectionAddr::TcpTls { .. }));
    match store.failure {
        Failure::Transient(Transient::TimedOut) if over_tls => {
            store.words += " (if the port does not speak TLS, the address must begin with `redis://`)";
        }
        // A server that expects TLS hangs up, or sends an alert, which is no reply of a Redis server.
        Failure::Transient(Transient::ConnectionLost) if plain && (is_cut || is_no_reply) => {
            store.words += " (if the port expects TLS, the address must begin with `rediss://`)";
        }
        _ => {}
    }
    store
}

/// What a person must change, if TLS itself has failed.
#[cfg(feature = "tls")]
fn refusal(error: &RedisError) -> Option<&'static str> {
    use std::error::Error as StdError;
    use std::io;
    use std::sync::Arc;

    use rustls::{AlertDescription, CertificateError, Error};

    let source = StdError::source(error)?.downcast_ref::<Arc<dyn StdError + Send + Sync>>()?;
    let cause = source.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<Error>()?;
    Some(match cause {
        // A bad signature is that of an authority with the name of one that is trusted.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the server's certificate is of an authority that is not trusted here: add the authority to those of the system, or \
             give it in a `redis::Client` made with `Client::build_with_tls`"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "the server's certificate is for another host: use the name in the certificate in the address, or correct the \
             certificate"
        }
        Error::InvalidCertificate(_) => "the server's certificate is not valid: correct it",
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied,
        ) => {
            "the server does not accept the client's certificate or the lack of one: give one in a `redis::Client` made with \
             `Client::build_with_tls`"
        }
        Error::AlertReceived(_) | Error::PeerIncompatible(_) => {
            "server and client find no version or method of TLS that both know: allow TLS 1.2 or 1.3 on the server"
        }
        Error::InvalidMessage(_) => {
            "what answers does not speak TLS; if the port does not, the address must begin with `redis://`"
        }
        _ => return None,
    })
}

#[cfg(not(feature = "tls"))]
fn refusal(_: &RedisError) -> Option<&'static str> {
    None
}
