//! From `kubectl apply` to an Observation read back.

use anyhow::Result;
use e2e::{Cluster, Fhir, connector, service};
use serde_json::json;

use crate::OPERATOR;
use crate::durability::send;

#[tokio::test(flavor = "multi_thread")]
async fn a_device_reading_becomes_an_observation() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let namespace = Cluster::connect()?.namespace("main").await?;
    namespace.apply(&service("clinic", "R4", "")).await?;
    namespace.apply(&connector("vitals", "clinic", "")).await?;
    let found = namespace.until("fhir/clinic", "Ready", "True", "Serving").await?;
    assert_eq!(found["status"]["url"], format!("http://clinic.{}.svc/", namespace.name));
    assert_eq!(found["status"]["fhirVersion"], "4.0.1");
    namespace.until("iot/vitals", "Ready", "True", "Ingesting").await?;

    let status = send(
        &namespace,
        "vitals",
        &json!({"heartRate": 61, "deviceId": "d1", "patientId": "p1", "endDate": "2026-01-01T08:00:00Z"}),
    )
    .await?;
    assert_eq!(status, 202);
    let fhir = Fhir::open(&namespace, "clinic", Some("default")).await?;
    let bundle = fhir.until_found("Observation?code=8867-4", 1).await?;
    let observation = &bundle["entry"][0]["resource"];
    assert_eq!(observation["valueQuantity"]["value"], json!(61));
    namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_are_served_and_need_a_token() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let namespace = Cluster::connect()?.namespace("versions").await?;
    for (name, version, number) in [("newer", "R4", "4.0.1"), ("older", "STU3", "3.0.2")] {
        namespace.apply(&service(name, version, "")).await?;
        namespace
            .until(&format!("fhir/{name}"), "Ready", "True", "Serving")
            .await?;
        let nobody = Fhir::open(&namespace, name, None).await?;
        let (status, capabilities) = nobody.send("GET", "metadata", None).await?;
        assert_eq!((status, &capabilities["fhirVersion"]), (200, &json!(number)));
        assert_eq!(nobody.send("GET", "Patient", None).await?.0, 401);
        let clinician = Fhir::open(&namespace, name, Some("default")).await?;
        let patient = json!({"resourceType": "Patient", "active": true});
        assert_eq!(clinician.send("POST", "Patient", Some(&patient)).await?.0, 201);
        assert_eq!(clinician.send("GET", "Patient", None).await?.0, 200);
    }
    namespace.delete().await
}
