//! Real sockets on port 0: listeners, TLS reload, the management routes and the order of a shutdown.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use daemon::{
    Health, Listener, Metrics, Shutdown, Supervisor, management,
    tls::{self, CertificateFiles},
};
use tokio::sync::{mpsc, oneshot};

const DRAIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn management_routes_tell_health_metrics_and_status() {
    let health = Health::new();
    let gate = health.gate("database");
    let metrics = Arc::new(Metrics::new("demo", "1.2.3"));
    let router = management::routes(&health, &metrics, || async { serde_json::json!({"version": "1.2.3"}) });
    let base = serve(router, None).await;
    let fetch = async |path: &str| {
        let response = reqwest::get(format!("http://{base}{path}")).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };

    assert_eq!(fetch("/health/live").await, (200, "ok".to_owned()));
    assert_eq!(fetch("/health/ready").await, (503, "waiting for database".to_owned()));
    let unhealthy = r#"{"overallStatus":"Unhealthy","details":[{"name":"ready","status":"Unhealthy","description":"waiting for database"}]}"#;
    assert_eq!(fetch("/health/check").await, (503, unhealthy.to_owned()));
    gate.open();
    assert_eq!(fetch("/health/ready").await, (200, "ok".to_owned()));
    let healthy = r#"{"overallStatus":"Healthy","details":[{"name":"ready","status":"Healthy","description":"requests are served"}]}"#;
    assert_eq!(fetch("/health/check").await, (200, healthy.to_owned()));
    assert_eq!(fetch("/status").await, (200, r#"{"version":"1.2.3"}"#.to_owned()));
    let (status, text) = fetch("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("demo_build_info{version=\"1.2.3\"} 1"), "{text}");
    assert!(text.contains("demo_process_resident_memory_bytes "), "{text}");
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_on_the_same_port() {
    let base = serve(Router::new().route("/", get(async || "hello")), None).await;
    for client in [
        reqwest::Client::builder().http2_prior_knowledge(),
        reqwest::Client::builder().http1_only(),
    ] {
        let response = client
            .build()
            .unwrap()
            .get(format!("http://{base}/"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.text().await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn a_certificate_is_read_again_when_its_files_change() {
    tls::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let files = CertificateFiles {
        chain: folder.path().join("tls.crt"),
        key: folder.path().join("tls.key"),
    };
    let first = write_certificate(&files);
    let config = tls::server_config(files.clone().serve().unwrap()).unwrap();
    let base = serve(Router::new().route("/", get(async || "hello")), Some(config)).await;

    assert_eq!(get_trusting(&base, &first).await.unwrap(), "hello");
    let second = write_certificate(&files);
    // Awaited, not slept for: the old certificate answers until the files were looked at again.
    while get_trusting(&base, &second).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(get_trusting(&base, &first).await.is_err());
}

#[tokio::test]
async fn a_shutdown_lets_a_request_finish_and_closes_in_order() {
    let (entered, mut in_flight) = mpsc::channel::<()>(1);
    let (release, released) = oneshot::channel::<()>();
    let released = Arc::new(tokio::sync::Mutex::new(Some(released)));
    let router = Router::new().route(
        "/slow",
        get(async move || {
            entered.send(()).await.unwrap();
            released.lock().await.take().unwrap().await.unwrap();
            "finished"
        }),
    );
    let mut supervisor = Supervisor::new(DRAIN);
    let health = supervisor.health().clone();
    let shutdown = supervisor.shutdown();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let base = listener.address();
    supervisor.serve("api", listener, router);
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    for name in ["store", "queue"] {
        let order = order.clone();
        supervisor.on_close(name, async move { order.lock().unwrap().push(name) });
    }
    let process = tokio::spawn(supervisor.run());

    let request = tokio::spawn(async move { reqwest::get(format!("http://{base}/slow")).await.unwrap().text().await });
    in_flight.recv().await.unwrap();
    shutdown.request();
    while health.ready().is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(health.ready(), Err("shutting down".to_owned()));
    assert!(order.lock().unwrap().is_empty());
    release.send(()).unwrap();
    assert_eq!(request.await.unwrap().unwrap(), "finished");
    process.await.unwrap().unwrap();
    assert_eq!(*order.lock().unwrap(), ["queue", "store"]);
    assert!(reqwest::get(format!("http://{base}/slow")).await.is_err());
}

#[tokio::test]
async fn a_dead_critical_task_ends_the_process_with_its_error() {
    let mut supervisor = Supervisor::new(DRAIN);
    let shutdown = supervisor.shutdown();
    supervisor.critical("steady", async move {
        shutdown.requested().await;
        Ok::<(), String>(())
    });
    supervisor.critical("watch", async { Err("the connection is gone") });
    let error = supervisor.run().await.unwrap_err();
    assert_eq!(error.to_string(), "`watch` stopped: the connection is gone");
}

async fn serve(router: Router, tls: Option<rustls::ServerConfig>) -> std::net::SocketAddr {
    let mut listener = Listener::bind("127.0.0.1:0").await.unwrap();
    if let Some(config) = tls {
        listener = listener.with_tls(config);
    }
    let address = listener.address();
    tokio::spawn(async move { listener.serve(router, &Shutdown::new(), DRAIN).await });
    address
}

fn write_certificate(files: &CertificateFiles) -> String {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&files.chain, pair.cert.pem()).unwrap();
    std::fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
    pair.cert.pem()
}

async fn get_trusting(base: &std::net::SocketAddr, certificate: &str) -> reqwest::Result<String> {
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap()])
        .build()
        .unwrap();
    client
        .get(format!("https://localhost:{}/", base.port()))
        .send()
        .await?
        .text()
        .await
}
