//! TLS with certificates of one's own, and primaries that sentinels name.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use support::{SentinelSettings, Sentinels, Server};

use crate::ran::{Ran, run_with};

/// An authority's certificate, and one for a server and one for a client that it has signed.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "an authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    for name in ["localhost", "client"] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[tokio::test]
async fn certificates_are_those_that_are_named() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let builder = Server::builder().tls(
        &folder.path().join("localhost.pem"),
        &folder.path().join("localhost.key"),
        &folder.path().join("ca.pem"),
        true,
    );
    let Some(server) = builder.start_with_tls().await else { return };
    let url = format!("rediss://localhost:{}", server.tls_port());
    let run = async |options: &[&str]| -> Vec<Ran> {
        let mut all = Vec::new();
        for command in [
            &["publish", "a", "b=c"][..],
            &["tail", "a"],
            &["trim", "a", "--without-groups", "--keep-entries", "9", "--yes"],
            &["dead-letters", "ls", "a"],
            &["doctor"],
        ] {
            all.push(run_with(Some(&url), &[command, options].concat(), "").await);
        }
        all
    };
    let (ca, cert, key) = (path("ca.pem"), path("client.pem"), path("client.key"));
    for ran in run(&["--ca-cert", &ca, "--client-cert", &cert, "--client-key", &key]).await {
        assert!(ran.code == 0 && ran.stderr.is_empty(), "{ran:?}");
    }
    for ran in run(&["--ca-cert", &ca]).await.into_iter().chain(run(&[]).await) {
        ran.refused(1);
    }
}

#[tokio::test]
async fn sentinels_name_the_primary() {
    let primary = Server::start().await;
    let sentinels = Sentinels::watch(&primary, 0, "mymaster", SentinelSettings::default()).await;
    let url = format!("redis+sentinel://{}/mymaster", sentinels.hosts());
    let id = run_with(Some(&url), &["publish", "a", "b=c"], "").await.done();
    let line = run_with(Some(primary.url()), &["tail", "a"], "").await.done();
    assert!(line.starts_with(id.trim()) && line.ends_with("b=c\n"), "{line}");
    assert_eq!(run_with(Some(&url), &["ls"], "").await.done(), "no subscriptions in this database\n");
    let error = run_with(Some(&format!("{url}ess")), &["ls"], "").await.refused(1);
    assert!(error.contains("REDIS_URL"), "{error}");
}
