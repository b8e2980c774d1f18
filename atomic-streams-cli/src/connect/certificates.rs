//! Certificates of one's own.

use atomic_streams::redis::Client;

use crate::args::ServerArgs;
use crate::exit::Failure;

/// A client with the certificates that are named; `None` if none is.
pub fn client(args: &ServerArgs, server: &str) -> Result<Option<Client>, Failure> {
    if args.ca_cert.is_none() && args.client_cert.is_none() {
        return Ok(None);
    }
    with_tls(args, server).map(Some)
}

#[cfg(feature = "tls")]
fn with_tls(args: &ServerArgs, server: &str) -> Result<Client, Failure> {
    use atomic_streams::redis::{ClientTlsConfig, TlsCertificates};

    let read = |path: &std::path::PathBuf| {
        let words = |error| format!("cannot read the certificate {}: {error}", path.display());
        std::fs::read(path).map_err(|error| Failure::usage(words(error)))
    };
    let client_tls = match (&args.client_cert, &args.client_key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? }),
        _ => None,
    };
    let certificates = TlsCertificates { root_cert: args.ca_cert.as_ref().map(read).transpose()?, client_tls };
    if !args.url.starts_with("rediss://") {
        return Err(Failure::usage(
            "certificates are for a server at a `rediss://` address: write --url rediss://…, or leave them out",
        ));
    }
    // What it says of the address may be a secret.
    Client::build_with_tls(args.url.as_str(), certificates)
        .map_err(|error| Failure::usage(format!("the certificates for {server} cannot be used: {:?}", error.kind())))
}

#[cfg(not(feature = "tls"))]
fn with_tls(_args: &ServerArgs, server: &str) -> Result<Client, Failure> {
    Err(Failure::usage(format!(
        "the certificates for {server} cannot be used: this build leaves TLS out; install it with the feature `tls`"
    )))
}
