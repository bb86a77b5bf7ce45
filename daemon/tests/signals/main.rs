//! Alone in its process, since a signal is for all of it.

use std::time::Duration;

use axum::{Router, routing::get};
use daemon::{Listener, Supervisor, tls};

#[tokio::test]
async fn whoever_is_served_is_not_cut_off_by_a_signal() {
    tls::install_provider();
    let mut supervisor = Supervisor::new(Duration::from_secs(20));
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let base = listener.address();
    supervisor.serve("api", listener, Router::new().route("/", get(async || "served")));
    let answer = reqwest::get(format!("http://{base}/")).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "served");
    // the process isn't supervised yet, and lives on
    let sent = std::process::Command::new("kill")
        .args(["-TERM", &std::process::id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    // the signal isn't lost
    supervisor.run().await.unwrap();
    assert!(reqwest::get(format!("http://{base}/")).await.is_err());
}
