//! The connector's figures at a real collector.

use daemon_settings::Otlp;
use serde_json::json;
use test_collector::Collector;

use crate::support::{Fhir, Running, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_stage_reason_and_connector() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start(folder.path(), "127.0.0.1", None);
    let (_fhir, url) = Fhir::start().await;
    let mut settings = settings(folder.path(), &url);
    settings.name = Some("ward".to_owned());
    settings.otlp = Otlp {
        endpoint: Some(collector.endpoint.clone()),
        interval_seconds: 1,
        ..Otlp::default()
    };
    let connector = Running::start(settings).await;
    let reading = json!({"device": "d1", "patient": "p1", "time": "2026-01-01T10:00:00Z", "heartrate": 60});
    let unmatched = json!({"device": "d1", "humidity": 40});
    assert_eq!(connector.send(format!("{reading}\n{{\n{unmatched}\n")).await, 202);
    connector.idle().await;

    let ward = "-> connector: Str(ward)";
    collector
        .until("iot_connector_device_event", &[ward, "Value: 3.000000"])
        .await;
    collector
        .until(
            "iot_connector_errors",
            &[ward, "-> stage: Str(normalise)", "-> reason: Str(", "Value: 1.000000"],
        )
        .await;
    collector
        .until(
            "iot_connector_measurement_ingestion_latency_ms",
            &[ward, "DataType: Histogram", "Count: 1"],
        )
        .await;
    collector
        .until("iot_connector_account", &[ward, "-> term: Str(points)"])
        .await;
    let metrics = connector.metrics().await;
    for line in [
        r#"iot_connector_backlog{connector="ward"} 0"#,
        r#"iot_connector_measurement_total{connector="ward",template="heartrate"} 1"#,
        r#"iot_connector_dropped_event_total{connector="ward",reason="Unmatched"} 1"#,
        r#"iot_connector_dropped_event_total{connector="ward",reason="InvalidDataFormat"} 1"#,
        r#"iot_connector_measurement_freshness_ms_count{connector="ward",template="heartrate"} 1"#,
    ] {
        assert!(metrics.contains(line), "no {line}: {metrics}");
    }
    connector.stop().await;
}
