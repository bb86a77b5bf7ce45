//! Figures on their way to a real collector.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use daemon::{Listener, Metrics, Shutdown, Supervisor};
use daemon_settings::Otlp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};
use test_collector::{Certificate, Collector};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    reason: &'static str,
}

/// A process with one metric of each kind.
struct Process {
    metrics: Arc<Metrics>,
    messages: Counter,
    errors: Family<Labels, Counter>,
    waiting: Gauge,
    latency: Histogram,
}

impl Process {
    fn new() -> Self {
        daemon::tls::install_provider();
        let process = Self {
            metrics: Arc::new(Metrics::labelled("test", "1.2.3", [("connector", "ward".to_owned())])),
            messages: Counter::default(),
            errors: Family::default(),
            waiting: Gauge::default(),
            latency: Histogram::new([1.0, 10.0]),
        };
        process.metrics.register(|registry| {
            registry.register("messages", "Messages accepted", process.messages.clone());
            registry.register("errors", "Errors by reason", process.errors.clone());
            registry.register("waiting", "Messages that wait", process.waiting.clone());
            registry.register("latency_ms", "Time to the answer", process.latency.clone());
        });
        process
    }

    /// Sends until the shutdown that is given back.
    fn send(&self, options: &Otlp) -> (Shutdown, tokio::task::JoinHandle<()>) {
        let mut supervisor = Supervisor::new(Duration::from_secs(5));
        otlp::start(&mut supervisor, &self.metrics, options, "test-server", "1.2.3").unwrap();
        let shutdown = supervisor.shutdown();
        let running = tokio::spawn(async move { supervisor.run().await.unwrap() });
        (shutdown, running)
    }
}

fn every_second(endpoint: &str) -> Otlp {
    Otlp {
        endpoint: Some(endpoint.to_owned()),
        interval_seconds: 1,
        ..Otlp::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_has_the_figures_and_gets_them_after_it_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::start(folder.path(), "127.0.0.1", None);
    let process = Process::new();
    process.messages.inc_by(7);
    process.errors.get_or_create(&Labels { reason: "NoTime" }).inc();
    process.errors.get_or_create(&Labels { reason: "NotJson" }).inc_by(2);
    process.waiting.set(-3);
    for latency in [0.5, 2.0, 3.0, 100.0] {
        process.latency.observe(latency);
    }
    let mut options = every_second(&collector.endpoint);
    options
        .attributes
        .insert("k8s.namespace.name".to_owned(), "ward-a".to_owned());
    let (shutdown, running) = process.send(&options);

    let messages = collector.until("test_messages", &["Value: 7.000000"]).await;
    for line in [
        "Description: Messages accepted.",
        "DataType: Sum",
        "IsMonotonic: true",
        "AggregationTemporality: Cumulative",
        "-> connector: Str(ward)",
    ] {
        assert!(messages.contains(line), "{line}: {messages}");
    }
    collector
        .until(
            "test_errors",
            &["-> reason: Str(NoTime)", "-> reason: Str(NotJson)", "Value: 2.000000"],
        )
        .await;
    collector
        .until("test_waiting", &["DataType: Gauge", "Value: -3.000000"])
        .await;
    collector
        .until(
            "test_latency_ms",
            &[
                "DataType: Histogram",
                "Count: 4",
                "Sum: 105.500000",
                "ExplicitBounds #0: 1.000000",
                "ExplicitBounds #1: 10.000000",
                "Buckets #0, Count: 1",
                "Buckets #1, Count: 2",
                "Buckets #2, Count: 1",
            ],
        )
        .await;
    collector
        .until("test_build_info", &["-> version: Str(1.2.3)", "Value: 1.000000"])
        .await;
    collector
        .until("test_process_resident_memory", &["Unit: By", "DataType: Gauge"])
        .await;
    let received = collector.received();
    for line in [
        "-> service.name: Str(test-server)",
        "-> service.version: Str(1.2.3)",
        "-> service.instance.id: Str(",
        "-> k8s.namespace.name: Str(ward-a)",
    ] {
        assert!(received.contains(line), "{line}: {received}");
    }

    collector.kill();
    process.messages.inc();
    tokio::time::sleep(Duration::from_secs(2)).await;
    collector.start_again();
    collector.until("test_messages", &["Value: 8.000000"]).await;

    // the last figures are those of the end
    process.messages.inc();
    shutdown.request();
    running.await.unwrap();
    collector.until("test_messages", &["Value: 9.000000"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_names_the_collector_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start(folder.path(), "127.0.0.1", None);
    let process = Process::new();
    let file = folder.path().join("otlp.json");
    let (shutdown, running) = process.send(&Otlp {
        file: Some(file.clone()),
        ..Otlp::default()
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let text = format!(r#"{{"endpoint": "{}", "intervalSeconds": 1}}"#, collector.endpoint);
    std::fs::write(file, text).unwrap();
    collector.until("test_messages", &["Value: 0.000000"]).await;
    shutdown.request();
    running.await.unwrap();
}

/// A certificate for 127.0.0.1 that signs itself.
fn certificate(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (chain, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_trusted_where_its_authority_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = certificate(folder.path());
    let served = Certificate {
        chain: &chain,
        key: &key,
    };
    let collector = Collector::start(folder.path(), "127.0.0.1", Some(served));
    let process = Process::new();
    let (shutdown, running) = process.send(&every_second(&collector.endpoint));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(collector.metric("test_messages"), None);
    shutdown.request();
    running.await.unwrap();

    let mut options = every_second(&collector.endpoint);
    options.ca_file = Some(chain);
    let (shutdown, running) = process.send(&options);
    collector.until("test_messages", &["Value: 0.000000"]).await;
    shutdown.request();
    running.await.unwrap();
}

/// What a collector of a vendor was asked.
type Asked = Arc<Mutex<Vec<HeaderMap>>>;

async fn vendor(State(asked): State<Asked>, headers: HeaderMap) -> StatusCode {
    let known = headers.get("api-key").is_some_and(|key| key == "secret");
    asked.lock().unwrap().push(headers);
    if known {
        StatusCode::OK
    } else {
        StatusCode::UNAUTHORIZED
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_file_go_along_and_are_read_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked::default();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let router = axum::Router::new()
        .route("/otlp/v1/metrics", post(vendor))
        .with_state(Arc::clone(&asked));
    let ends = Shutdown::new();
    let serving = ends.clone();
    tokio::spawn(async move { listener.serve(router, &serving, Duration::ZERO).await });

    let headers = folder.path().join("headers");
    std::fs::write(&headers, "Api-Key: wrong\n").unwrap();
    let mut options = every_second(&format!("http://{address}/otlp/"));
    options.headers_file = Some(headers.clone());
    let process = Process::new();
    let (shutdown, running) = process.send(&options);
    let last = async |wanted: &str| {
        loop {
            let found = asked.lock().unwrap().last().cloned();
            if let Some(found) = found.filter(|found| found["api-key"] == wanted) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let first = last("wrong").await;
    assert_eq!(first["content-type"], "application/x-protobuf");
    assert_eq!(first["user-agent"], "test-server/1.2.3");
    std::fs::write(&headers, "Api-Key: secret\nX-Tenant: ward\n").unwrap();
    assert_eq!(last("secret").await["x-tenant"], "ward");
    shutdown.request();
    running.await.unwrap();
    ends.request();
}
