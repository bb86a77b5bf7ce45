//! What was acknowledged is there, whoever is killed.

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, Fhir, Forward, Namespace, connector, eventually, service};
use serde_json::{Value, json};

use crate::OPERATOR;

/// Sends one device message with the connector's default key; gives the status.
pub async fn send(namespace: &Namespace, connector: &str, message: &Value) -> Result<u16> {
    let key = device_key(namespace, connector).await?;
    let way = Forward::open(namespace, &format!("{connector}-iot"), "80").await?;
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let request = reqwest::Client::new()
        .post(format!("{}/messages", way.url))
        .bearer_auth(key);
    Ok(request
        .body(message.to_string())
        .header("content-type", "application/json")
        .send()
        .await?
        .status()
        .as_u16())
}

async fn device_key(namespace: &Namespace, connector: &str) -> Result<String> {
    let secret = format!("{connector}-iot-default");
    namespace
        .kubectl(&[
            "get",
            "secret",
            &secret,
            "-o",
            "go-template={{.data.key | base64decode}}",
        ])
        .await
}

/// Kills the program of a pod with SIGKILL, from outside its container.
fn kill_program(pod: &Value, program: &str) -> Result<()> {
    let uid = pod["metadata"]["uid"].as_str().context("a pod has a uid")?;
    let mut killed = false;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let path = entry.path();
        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if read("comm").trim() == program && read("cgroup").contains(uid) {
            killed |= std::process::Command::new("kill")
                .args(["-9", &pid.to_string()])
                .status()?
                .success();
        }
    }
    ensure!(killed, "no process `{program}` of pod {uid} on this machine");
    Ok(())
}

async fn pod_of(namespace: &Namespace, selector: &str) -> Result<Value> {
    let text = namespace
        .kubectl(&["get", "pods", "-l", selector, "-o", "json"])
        .await?;
    let list: Value = serde_json::from_str(&text)?;
    list["items"]
        .get(0)
        .cloned()
        .with_context(|| format!("no pod {selector}"))
}

/// Waits until the pod's program has been started again and is ready: until the kubelet has seen that it was killed, the
/// pod still looks as before.
async fn started_again(namespace: &Namespace, killed: &Value, selector: &str) -> Result<()> {
    let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64();
    let before = restarts(killed);
    eventually("a start after the kill", || async {
        let pod = pod_of(namespace, selector).await?;
        let ready = pod["status"]["containerStatuses"][0]["ready"] == true;
        ensure!(ready && restarts(&pod) > before, "{}", pod["status"]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_has_every_acknowledged_resource() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let namespace = Cluster::connect()?.namespace("killed").await?;
    namespace.apply(&service("clinic", "R4", "")).await?;
    namespace.until("fhir/clinic", "Ready", "True", "Serving").await?;
    let mut acknowledged = Vec::new();
    for round in 0..2 {
        let selector = "app.kubernetes.io/name=fhir-server,app.kubernetes.io/instance=clinic";
        let pod = pod_of(&namespace, selector).await?;
        let fhir = Fhir::open(&namespace, "clinic", Some("default")).await?;
        let writer = async {
            for number in 0.. {
                let id = format!("r{round}-{number}");
                let patient = json!({"resourceType": "Patient", "id": id, "active": true});
                match fhir.send("PUT", &format!("Patient/{id}"), Some(&patient)).await {
                    Ok((201, _)) => acknowledged.push(id),
                    _ => break,
                }
            }
        };
        let killer = async {
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
            kill_program(&pod, "fhir-server")
        };
        let ((), outcome) = tokio::join!(writer, killer);
        outcome?;
        started_again(&namespace, &pod, selector).await?;
    }
    ensure!(
        acknowledged.len() > 20,
        "only {} writes before the kills",
        acknowledged.len()
    );
    let fhir = Fhir::open(&namespace, "clinic", Some("default")).await?;
    for id in &acknowledged {
        let (status, _) = fhir.send("GET", &format!("Patient/{id}"), None).await?;
        ensure!(status == 200, "Patient/{id} was acknowledged and is lost: {status}");
    }
    namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_connector_delivers_every_accepted_message_once() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let namespace = Cluster::connect()?.namespace("spooled").await?;
    namespace.apply(&service("clinic", "R4", "")).await?;
    namespace.apply(&connector("vitals", "clinic", "")).await?;
    namespace.until("iot/vitals", "Ready", "True", "Ingesting").await?;
    // `Err` only says that there is one already
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut accepted = 0;
    for round in 0..2 {
        let selector = "app.kubernetes.io/name=iot-connector,app.kubernetes.io/instance=vitals";
        let pod = pod_of(&namespace, selector).await?;
        let key = device_key(&namespace, "vitals").await?;
        let way = Forward::open(&namespace, "vitals-iot", "80").await?;
        let client = reqwest::Client::new();
        for number in 0..50 {
            let minute = format!("2026-01-0{}T08:{number:02}:00Z", round + 1);
            let message = json!({"heartRate": 60, "deviceId": "d1", "patientId": "p1", "endDate": minute});
            let request = client
                .post(format!("{}/messages", way.url))
                .bearer_auth(&key)
                .body(message.to_string());
            if request.send().await.is_ok_and(|response| response.status() == 202) {
                accepted += 1;
            }
        }
        kill_program(&pod, "iot-connector")?;
        started_again(&namespace, &pod, selector).await?;
        namespace.until("iot/vitals", "Ready", "True", "Ingesting").await?;
    }
    ensure!(accepted == 100, "{accepted} of 100 accepted");
    let fhir = Fhir::open(&namespace, "clinic", Some("default")).await?;
    eventually("an Observation for each message", || async {
        let (_, bundle) = fhir.send("GET", "Observation?_summary=count", None).await?;
        ensure!(bundle["total"] == accepted, "{bundle}");
        Ok(())
    })
    .await?;
    namespace.delete().await
}
