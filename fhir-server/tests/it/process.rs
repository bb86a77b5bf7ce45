//! The program itself, ended as Kubernetes does it.

use std::time::Duration;

use reqwest::StatusCode;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::begun::Begun;
use crate::program::Program;

#[tokio::test]
async fn whoever_asked_before_the_end_is_answered() {
    let folder = TempDir::new().expect("folder");
    let mut program = Program::start(folder.path()).await;
    let address = program.base.trim_start_matches("http://").to_owned();
    let body = r#"{"resourceType":"Patient","id":"late"}"#;
    let mut begun = Begun::put(&address, "Patient/late", body.len()).await;

    program.signal("TERM");
    let closed = async { while TcpStream::connect(&address).await.is_ok() {} };
    tokio::time::timeout(Duration::from_mins(1), closed)
        .await
        .expect("nobody new gets in");
    let answer = begun.end(body).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(program.child.wait().expect("its end").success());
    // everything is in the file itself: there is no log to replay
    assert!(!folder.path().join("fhir.db-wal").exists());
    let program = Program::start(folder.path()).await;
    assert_eq!(program.status("Patient/late").await, Some(StatusCode::OK));
}
