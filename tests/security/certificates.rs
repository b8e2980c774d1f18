//! Authorities and certificates, made for one test.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use redis::{Client, ClientTlsConfig, TlsCertificates};
use support::{Server, ServerBuilder};
use tempfile::TempDir;

/// An authority, and what it has signed.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for this host, and the key to it.
    pub fn sign(&self, host: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = for_host(host);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// One that has expired.
    pub fn sign_expired(&self, host: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = for_host(host);
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A client that trusts this authority alone.
    pub fn client(&self, url: &str) -> Client {
        Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert: Some(self.pem().into()) }).unwrap()
    }

    /// A client that shows a certificate of another authority, or of this one.
    pub fn client_as(&self, url: &str, (certificate, key): (String, String)) -> Client {
        let client_tls = Some(ClientTlsConfig { client_cert: certificate.into(), client_key: key.into() });
        Client::build_with_tls(url, TlsCertificates { client_tls, root_cert: Some(self.pem().into()) }).unwrap()
    }
}

fn for_host(host: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    // Other than that of the authority: it would pass for a certificate that has signed itself.
    params.distinguished_name.push(DnType::CommonName, host);
    params
}

/// The files of a server, which it reads when it starts.
pub struct Files {
    folder: TempDir,
}

impl Files {
    pub fn of(authority: &Authority, (certificate, key): (String, String)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, pem) in [("server.pem", certificate), ("server.key", key), ("ca.pem", authority.pem())] {
            fs::write(folder.path().join(name), pem).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Lets a server use them.
    pub fn on(&self, server: ServerBuilder, asks_clients: bool) -> ServerBuilder {
        server.tls(&self.path("server.pem"), &self.path("server.key"), &self.path("ca.pem"), asks_clients)
    }

    /// Starts a server with them, if it can.
    pub async fn serve(&self, asks_clients: bool) -> Option<Server> {
        self.on(Server::builder(), asks_clients).start_with_tls().await
    }
}
