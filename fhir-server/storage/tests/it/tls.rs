//! PostgreSQL over TLS, with a password: only whom the certificate proves is spoken to, and nothing says the password.

use std::time::Duration;

use fhir_definitions::FhirVersion;
use fhir_storage::{Database, OpenError, Store, StoreOptions, Url};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use test_postgres::PostgresServer;

use crate::fixture::{Fixture, open};

const PASSWORD: &str = "correct horse";

/// An authority that certificates are made by.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A database on a server that is `localhost` by this authority's word, and takes nobody without TLS and the password.
fn server(authority: &CertifiedIssuer<'static, KeyPair>) -> (PostgresServer, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let server = PostgresServer::start_on(
        &["ssl=on"],
        &[
            ("server.crt", &certificate.pem()),
            ("server.key", &key.serialize_pem()),
            (
                "pg_hba.conf",
                "local all all trust\nhostssl all all all scram-sha-256\n",
            ),
        ],
    );
    server.sql("postgres", &format!("ALTER USER postgres PASSWORD '{PASSWORD}'"));
    let name = server.database().rsplit('/').next().unwrap().to_owned();
    let address = format!("localhost:{}/{name}", server.port());
    (server, address)
}

async fn attempt(url: String) -> Result<(), OpenError> {
    let options = StoreOptions {
        database: Database::Postgres(Url::new(url)),
        version: FhirVersion::R4,
        readers: 2,
        statement: Duration::from_mins(1),
    };
    Store::open(&options).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_proven_server_gets_the_password() {
    let own = authority();
    let (_server, address) = server(&own);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, authority: &CertifiedIssuer<'static, KeyPair>| {
        let path = folder.path().join(name);
        std::fs::write(&path, authority.pem()).unwrap();
        path.display().to_string()
    };
    let (own, other) = (file("own.pem", &own), file("other.pem", &authority()));
    let url = |user: &str, address: &str, authority: &str| {
        format!("postgres://{user}@{address}?sslmode=verify-full&sslrootcert={authority}")
    };
    let user = "postgres:correct%20horse";

    let database = Database::Postgres(Url::new(url(user, &address, &own)));
    let fixture = Fixture::on(database.clone(), open(&database).await);
    fixture.put_all(&[json!({"resourceType": "Patient", "id": "p"})]).await;
    assert_eq!(fixture.found("Patient", "").await, ["p"]);

    let by_number = address.replace("localhost", "127.0.0.1");
    for (what, url, says) in [
        ("another authority", url(user, &address, &other), "certificate"),
        ("another name", url(user, &by_number, &own), "certificate"),
        ("no file", url(user, &address, "/nowhere/ca.pem"), "sslrootcert"),
        (
            "another password",
            url("postgres:wrong%20horse", &address, &own),
            "password",
        ),
        (
            "no TLS",
            format!("postgres://{user}@{address}?sslmode=disable"),
            "pg_hba.conf",
        ),
    ] {
        let error = attempt(url).await.expect_err(what).to_string();
        assert!(error.contains(says), "{what}: {error}");
        assert!(!error.contains("horse"), "{what}: {error}");
    }
}
