//! Which PostgreSQL the service takes, and how it reaches it. What it keeps there is tested with
//! gateways, on both databases, where the gateway's side is.

#![expect(clippy::unwrap_used, reason = "tests")]

use own_postgres::OwnPostgres;
use portfolio::Postgres;
use portfolio::config::PostgresConfig;
use portfolio::repository::Repository;
use rcgen::{CertifiedKey, generate_simple_self_signed};

fn on(url: &str) -> PostgresConfig {
    PostgresConfig { server: url.parse().unwrap(), password_file: None, authority: None }
}

/// The whole chain of what went wrong.
async fn refused(config: &PostgresConfig) -> String {
    let error = Postgres::open(config).await.unwrap_err();
    let mut said = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        said = format!("{said}: {cause}");
        next = cause.source();
    }
    said
}

#[tokio::test]
async fn a_server_on_the_network_is_believed_by_its_authority_alone() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let stranger = generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert;
    let (cert, key) = (cert.pem(), signing_key.serialize_pem());
    let settings = "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n";
    let files = [("server.crt", &*cert), ("server.key", &*key)];
    let server = OwnPostgres::on_loopback(settings, &files).unwrap();
    server.database("portfolio").unwrap();
    let url = format!("postgresql://fyrhus@localhost:{}/portfolio", server.port());

    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("authority.pem");
    std::fs::write(&authority, cert).unwrap();
    let config = PostgresConfig { authority: Some(authority.clone()), ..on(&url) };
    let postgres = Postgres::open(&config).await.unwrap();
    assert!(!postgres.claimed().await.unwrap());
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                      WHERE application_name = 'fyrhus-portfolio'";
    assert_eq!(server.ask("portfolio", encrypted).unwrap(), "t");

    std::fs::write(&authority, stranger.pem()).unwrap();
    let said = refused(&config).await;
    assert!(said.contains("invalid peer certificate"), "{said}");
    std::fs::write(&authority, "").unwrap();
    let said = refused(&config).await;
    assert!(said.contains("authority.pem is empty"), "{said}");
}

#[tokio::test]
async fn a_password_comes_from_its_file() {
    let server = OwnPostgres::on_loopback("", &[]).unwrap();
    server.database("portfolio").unwrap();
    let hba = server.folder().join("data/pg_hba.conf");
    server.ask("postgres", "CREATE ROLE keeper LOGIN SUPERUSER PASSWORD 'riktig hest'").unwrap();
    let local = "local all fyrhus trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(hba, local).unwrap();
    server.crash().unwrap();
    server.start_again().unwrap();

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "riktig hest\n").unwrap();
    let url = format!("postgresql://keeper@127.0.0.1:{}/portfolio", server.port());
    let config = PostgresConfig { password_file: Some(file.clone()), ..on(&url) };
    Postgres::open(&config).await.unwrap();
    std::fs::write(&file, "feil hest").unwrap();
    let said = refused(&config).await;
    assert!(said.contains("password authentication failed"), "{said}");
}

#[tokio::test]
async fn a_database_that_does_not_keep_its_word_is_not_taken() {
    let server = OwnPostgres::start("").unwrap();
    let url = server.database("portfolio").unwrap();
    Postgres::open(&on(&url)).await.unwrap();
    Postgres::open(&on(&url)).await.unwrap();

    server.ask("postgres", "ALTER DATABASE portfolio SET synchronous_commit = off").unwrap();
    let said = refused(&on(&url)).await;
    assert!(said.contains("a power cut loses what was acknowledged; set it to on"), "{said}");
    server.ask("postgres", "ALTER DATABASE portfolio RESET synchronous_commit").unwrap();

    server.ask("portfolio", "UPDATE schema_version SET version = 1000").unwrap();
    let said = refused(&on(&url)).await;
    assert!(said.contains("`1000` for its version"), "{said}");
}
