//! A FHIR server in memory, on a real port, that can be told to fail; and a connector beside it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path as Segments, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use daemon::{Listener, Shutdown};
use iot_connector_settings::{FhirServer, IdentityResolution, Settings, Spool, Window};
use serde_json::{Value, json};

/// What a scripted answer is.
#[derive(Debug, Clone)]
pub struct Scripted {
    pub status: u16,
    pub retry_after: Option<&'static str>,
}

#[derive(Default)]
pub struct Fhir {
    resources: Mutex<BTreeMap<(String, String), Value>>,
    /// Answers to the next PUTs (`Some`), or to do as usual (`None`).
    puts: Mutex<VecDeque<Option<Scripted>>>,
    /// The answer to everything, while there is one.
    always: Mutex<Option<Scripted>>,
    /// Whether a resource whose PUT is answered with a conflict is gone from then on.
    remove_at_conflict: Mutex<bool>,
    /// Batches with more entries than this get this answer.
    larger_batches: Mutex<Option<(usize, Scripted)>>,
    requests: Mutex<Vec<String>>,
    authorization: Mutex<Option<String>>,
}

impl Fhir {
    /// Serves on a free port; gives the base URL.
    pub async fn start() -> (Arc<Self>, String) {
        let fhir = Arc::new(Self::default());
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.address());
        let router = Router::new()
            .route("/", post(batch))
            .route("/{kind}", get(search))
            .route("/{kind}/{id}", get(read).put(update))
            .with_state(fhir.clone());
        tokio::spawn(async move { listener.serve(router, &Shutdown::new(), Duration::ZERO).await });
        (fhir, url)
    }

    pub fn insert(&self, mut resource: Value) {
        let key = (text(&resource["resourceType"]), text(&resource["id"]));
        if resource["meta"]["versionId"].is_null() {
            resource["meta"] = json!({"versionId": "1"});
        }
        self.resources.lock().unwrap().insert(key, resource);
    }

    pub fn all(&self, kind: &str) -> Vec<Value> {
        let resources = self.resources.lock().unwrap();
        resources
            .iter()
            .filter(|((own, _), _)| own == kind)
            .map(|(_, resource)| resource.clone())
            .collect()
    }

    pub fn remove(&self, kind: &str, id: &str) {
        self.resources.lock().unwrap().remove(&(kind.to_owned(), id.to_owned()));
    }

    pub fn always(&self, scripted: Option<Scripted>) {
        *self.always.lock().unwrap() = scripted;
    }

    /// Answers batches with more entries like this.
    pub fn refuse_batches_beyond(&self, entries: usize, scripted: Scripted) {
        *self.larger_batches.lock().unwrap() = Some((entries, scripted));
    }

    pub fn next_puts(&self, scripted: impl IntoIterator<Item = Option<Scripted>>) {
        self.puts.lock().unwrap().extend(scripted);
    }

    pub fn remove_at_conflict(&self, remove: bool) {
        *self.remove_at_conflict.lock().unwrap() = remove;
    }

    /// Method and path of every request so far, and `FOUND` with the type for each resource that a search found.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub fn authorization(&self) -> Option<String> {
        self.authorization.lock().unwrap().clone()
    }

    fn note(&self, request: String, headers: &HeaderMap) -> Option<Response> {
        self.requests.lock().unwrap().push(request);
        *self.authorization.lock().unwrap() = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        self.always
            .lock()
            .unwrap()
            .clone()
            .map(axum::response::IntoResponse::into_response)
    }
}

impl IntoResponse for Scripted {
    fn into_response(self) -> Response {
        let outcome = json!({"resourceType": "OperationOutcome", "issue": [
            {"severity": "error", "code": "processing", "diagnostics": "scripted"}
        ]});
        let mut response = (StatusCode::from_u16(self.status).unwrap(), Json(outcome)).into_response();
        if let Some(retry_after) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static(retry_after));
        }
        response
    }
}

async fn search(
    State(fhir): State<Arc<Fhir>>,
    Segments(kind): Segments<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Some(response) = fhir.note(format!("GET {kind}"), &headers) {
        return response;
    }
    let token = query.get("identifier").cloned().unwrap_or_default().replace('\\', "");
    let (system, value) = token
        .split_once('|')
        .map_or((None, token.as_str()), |(system, value)| (Some(system), value));
    let carries = |resource: &Value| {
        resource["identifier"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|identifier| {
                identifier["value"] == value && system.is_none_or(|system| identifier["system"] == system)
            })
    };
    let entries: Vec<Value> = fhir
        .all(&kind)
        .into_iter()
        .filter(carries)
        .map(|resource| json!({"resource": resource}))
        .collect();
    let found = std::iter::repeat_n(format!("FOUND {kind}"), entries.len());
    fhir.requests.lock().unwrap().extend(found);
    Json(json!({"resourceType": "Bundle", "type": "searchset", "entry": entries})).into_response()
}

/// A batch: its writes, then its reads, each by itself.
async fn batch(State(fhir): State<Arc<Fhir>>, headers: HeaderMap, Json(bundle): Json<Value>) -> Response {
    if let Some(response) = fhir.note(format!("BATCH {}", bundle["entry"].as_array().unwrap().len()), &headers) {
        return response;
    }
    let entries = bundle["entry"].as_array().unwrap();
    let larger = fhir.larger_batches.lock().unwrap().clone();
    if let Some((_, scripted)) = larger.filter(|(most, _)| entries.len() > *most) {
        return scripted.into_response();
    }
    let mut answers = vec![Value::Null; entries.len()];
    for method in ["PUT", "GET"] {
        let all = entries.iter().zip(&mut answers);
        for (entry, answer) in all.filter(|(entry, _)| entry["request"]["method"] == method) {
            let request = &entry["request"];
            let mut headers = headers.clone();
            for (name, member) in [(header::IF_MATCH, "ifMatch"), (header::IF_NONE_MATCH, "ifNoneMatch")] {
                if let Some(value) = request[member].as_str() {
                    headers.insert(name, HeaderValue::from_str(value).unwrap());
                }
            }
            let url = reqwest::Url::parse("http://fhir")
                .unwrap()
                .join(request["url"].as_str().unwrap())
                .unwrap();
            let path: Vec<String> = url.path_segments().unwrap().map(str::to_owned).collect();
            let query = url.query_pairs().into_owned().collect();
            let response = match (method, &path[..]) {
                ("GET", [kind]) => search(State(fhir.clone()), Segments(kind.clone()), Query(query), headers).await,
                ("GET", [kind, id]) => read(State(fhir.clone()), Segments((kind.clone(), id.clone())), headers).await,
                (_, [kind, id]) => {
                    let body = Bytes::from(entry["resource"].to_string());
                    update(State(fhir.clone()), Segments((kind.clone(), id.clone())), headers, body).await
                }
                _ => panic!("{request}"),
            };
            let status = response.status().as_u16();
            let etag = response
                .headers()
                .get(header::ETAG)
                .map(|etag| etag.to_str().unwrap().to_owned());
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            *answer = if status < 300 {
                json!({"resource": body, "response": {"status": status.to_string(), "etag": etag}})
            } else {
                json!({"response": {"status": status.to_string(), "outcome": body}})
            };
        }
    }
    Json(json!({"resourceType": "Bundle", "type": "batch-response", "entry": answers})).into_response()
}

async fn read(
    State(fhir): State<Arc<Fhir>>,
    Segments(key): Segments<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(response) = fhir.note(format!("GET {}/{}", key.0, key.1), &headers) {
        return response;
    }
    match fhir.resources.lock().unwrap().get(&key) {
        Some(resource) => Json(resource.clone()).into_response(),
        None => Scripted {
            status: 404,
            retry_after: None,
        }
        .into_response(),
    }
}

async fn update(
    State(fhir): State<Arc<Fhir>>,
    Segments(key): Segments<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(response) = fhir.note(format!("PUT {}", key.0), &headers) {
        return response;
    }
    // Scripts are about Observations; Device and Patient are made as usual.
    let scripted = (key.0 == "Observation")
        .then(|| fhir.puts.lock().unwrap().pop_front())
        .flatten();
    if let Some(Some(scripted)) = scripted {
        if *fhir.remove_at_conflict.lock().unwrap() {
            fhir.remove(&key.0, &key.1);
        }
        return scripted.into_response();
    }
    let mut resource: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((text(&resource["resourceType"]), text(&resource["id"])), key);
    let mut resources = fhir.resources.lock().unwrap();
    let version = resources.get(&key).map(|there| text(&there["meta"]["versionId"]));
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let stale =
        header(header::IF_MATCH).is_some_and(|tag| version.as_ref().is_none_or(|own| tag != format!("W/\"{own}\"")));
    let exists = header(header::IF_NONE_MATCH) == Some("*") && version.is_some();
    if stale || exists {
        return Scripted {
            status: 412,
            retry_after: None,
        }
        .into_response();
    }
    let next = version
        .as_ref()
        .map_or(1, |version| version.parse::<u32>().unwrap() + 1);
    resource["meta"] = json!({"versionId": next.to_string()});
    resources.insert(key, resource.clone());
    let status = if version.is_some() {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    (status, [(header::ETAG, format!("W/\"{next}\""))], Json(resource)).into_response()
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub fn device_mapping() -> Value {
    json!({"templateType": "CollectionContent", "template": [
        {"templateType": "JsonPathContent", "template": {
            "typeName": "heartrate", "typeMatchExpression": "$..[?(@heartrate)]", "deviceIdExpression": "$.device",
            "patientIdExpression": "$.patient", "encounterIdExpression": "$.encounter", "timestampExpression": "$.time",
            "values": [{"required": "true", "valueExpression": "$.heartrate", "valueName": "hr"}]
        }},
        {"templateType": "JsonPathContent", "template": {
            "typeName": "steps", "typeMatchExpression": "$..[?(@steps)]", "deviceIdExpression": "$.device",
            "patientIdExpression": "$.patient", "timestampExpression": "$.time",
            "values": [{"required": "true", "valueExpression": "$.steps", "valueName": "steps"}]
        }}
    ]})
}

pub fn fhir_mapping() -> Value {
    json!({"templateType": "CollectionFhir", "template": [
        {"templateType": "CodeValueFhir", "template": {
            "typeName": "heartrate", "periodInterval": 0, "codes": [{"system": "http://loinc.org", "code": "8867-4"}],
            "value": {"valueType": "Quantity", "valueName": "hr", "unit": "/min"}
        }},
        {"templateType": "CodeValueFhir", "template": {
            "typeName": "steps", "periodInterval": 60, "codes": [{"system": "http://loinc.org", "code": "55423-8"}],
            "value": {"valueType": "SampledData", "valueName": "steps", "defaultPeriod": 60000, "unit": "count"}
        }}
    ]})
}

/// Settings of a connector in a folder: mappings there, anyone may send, every message is worked on at once.
pub fn settings(folder: &Path, fhir_url: &str) -> Settings {
    let (device, fhir) = (folder.join("device.json"), folder.join("fhir.json"));
    std::fs::write(&device, device_mapping().to_string()).unwrap();
    std::fs::write(&fhir, fhir_mapping().to_string()).unwrap();
    Settings {
        listen: "127.0.0.1:0".to_owned(),
        management: Some("127.0.0.1:0".to_owned()),
        spool: Spool {
            path: folder.join("spool"),
            ..Spool::default()
        },
        device_mapping: Some(device),
        fhir_mapping: Some(fhir),
        anonymous: true,
        fhir_server: FhirServer {
            url: fhir_url.to_owned(),
            ..FhirServer::default()
        },
        identity_resolution: IdentityResolution::Create,
        window: Window {
            flush_seconds: 1,
            max_events: 1,
        },
        ..Settings::default()
    }
}

/// A connector in this process.
pub struct Running {
    pub messages: String,
    pub management: String,
    shutdown: Shutdown,
    process: tokio::task::JoinHandle<Result<(), daemon::ProcessError>>,
}

impl Running {
    pub async fn start(settings: Settings) -> Self {
        daemon::tls::install_provider();
        let connector = iot_connector::start(settings).await.unwrap();
        let messages = format!("http://{}/messages", connector.address());
        let management = format!("http://{}", connector.management().unwrap());
        let shutdown = connector.shutdown();
        Self {
            messages,
            management,
            shutdown,
            process: tokio::spawn(connector.run()),
        }
    }

    pub async fn send(&self, body: impl ToString) -> u16 {
        let client = reqwest::Client::new();
        client
            .post(&self.messages)
            .body(body.to_string())
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    pub async fn status(&self) -> Value {
        get_json(&format!("{}/status", self.management)).await
    }

    pub async fn dead_letters(&self) -> Vec<Value> {
        let page = get_json(&format!("{}/dead-letters", self.management)).await;
        page["deadLetters"].as_array().unwrap().clone()
    }

    /// Waits until nothing is in work.
    pub async fn idle(&self) -> Value {
        until(async || Some(self.status().await).filter(|page| page["backlog"] == 0)).await
    }

    pub async fn metrics(&self) -> String {
        let answer = reqwest::get(format!("{}/metrics", self.management)).await.unwrap();
        answer.text().await.unwrap()
    }

    /// A figure of the account, from the metrics.
    pub async fn account(&self, term: &str) -> u64 {
        let text = self.metrics().await;
        let metric = format!("iot_connector_account_total{{term=\"{term}\"}}");
        figure(&text, &metric).unwrap_or_else(|| panic!("no {metric} in {text}"))
    }

    pub async fn assert_balance(&self) {
        let sum = async |terms: &[&str]| {
            let mut sum = 0;
            for term in terms {
                sum += self.account(term).await;
            }
            sum
        };
        assert_eq!(
            self.account("messages").await,
            sum(&["matched", "unmatched", "dead"]).await
        );
        let ends = [
            "points",
            "superseded",
            "duplicates",
            "aggregated",
            "omitted",
            "dead_readings",
        ];
        assert_eq!(self.account("readings").await, sum(&ends).await);
    }

    pub async fn stop(self) {
        self.shutdown.request();
        self.process.await.unwrap().unwrap();
    }
}

pub async fn get_json(url: &str) -> Value {
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

/// Asks until there is an answer; the runner's own time limit ends what never comes.
pub async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

/// The figure of a metric with its labels.
pub fn figure(metrics: &str, metric: &str) -> Option<u64> {
    let value = |line: &str| line.strip_prefix(metric)?.strip_prefix(' ')?.parse().ok();
    metrics.lines().find_map(value)
}
