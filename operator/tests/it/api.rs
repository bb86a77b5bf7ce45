//! An API server in memory: objects by path, resourceVersions, watches, merge for apply, conflicts, and a log of what
//! was asked. As much of the real one as the operator relies on, and no more.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// How long a test waits for what has to come; only a failure takes that long.
const PATIENCE: Duration = Duration::from_mins(2);

/// The API server.
#[derive(Clone)]
pub struct Api {
    state: Arc<Mutex<State>>,
    version: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct State {
    /// By path of the object, for example `/api/v1/namespaces/ward/configmaps/vitals`.
    objects: BTreeMap<String, Value>,
    version: u64,
    /// What was deleted, for watches.
    events: Vec<Event>,
    writes: Vec<Write>,
    /// The next writes to a path that ends so are answered with this status, once each.
    faults: Vec<(String, StatusCode)>,
}

#[derive(Clone)]
struct Event {
    version: u64,
    kind: &'static str,
    path: String,
    object: Value,
}

/// One request that changed, or tried to change, something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The method.
    pub method: Method,
    /// The path, with `/status` where it was the status.
    pub path: String,
    /// The answer.
    pub status: u16,
}

struct Target {
    collection: String,
    name: Option<String>,
    status: bool,
}

impl Api {
    /// A server with our definitions and two namespaces.
    pub fn new() -> Self {
        let api = Self {
            state: Arc::default(),
            version: Arc::new(watch::Sender::new(0)),
        };
        for definition in fhir_operator_api::custom_resource_definitions() {
            let name = definition.metadata.name.clone().unwrap();
            let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
            api.put(&path, serde_json::to_value(definition).unwrap());
        }
        for name in ["ward", "annex", "fhir-operator"] {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            api.put(&format!("/api/v1/namespaces/{name}"), namespace);
        }
        api
    }

    /// A client of this server.
    pub fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        Client::new(service, "default")
    }

    /// Stores an object as somebody else would.
    pub fn put(&self, path: &str, object: Value) {
        let mut state = self.state.lock().unwrap();
        state.store(path, object);
        self.version.send_replace(state.version);
    }

    /// Changes an object as somebody else would.
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(path).unwrap_or_else(|| panic!("{path} isn't there"));
        change(&mut object);
        self.put(path, object);
    }

    /// Deletes an object as somebody else would.
    pub fn delete(&self, path: &str) {
        let mut state = self.state.lock().unwrap();
        state.remove(path);
        self.version.send_replace(state.version);
    }

    /// The object at a path.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    /// Paths of objects that begin so.
    pub fn paths(&self, prefix: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state
            .objects
            .keys()
            .filter(|path| path.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// Every write so far but those of the Lease and of events.
    pub fn writes(&self) -> Vec<Write> {
        let state = self.state.lock().unwrap();
        let counts = |write: &&Write| !write.path.contains("/leases/") && !write.path.contains("/events/");
        state.writes.iter().filter(counts).cloned().collect()
    }

    /// Lets the next write to a path that ends so fail.
    pub fn fail_next(&self, path: &str, status: StatusCode) {
        self.state.lock().unwrap().faults.push((path.to_owned(), status));
    }

    /// Waits until `found` finds something.
    pub async fn until<T>(&self, what: &str, found: impl Fn(&Self) -> Option<T>) -> T {
        let mut version = self.version.subscribe();
        let wait = async {
            loop {
                version.borrow_and_update();
                if let Some(value) = found(self) {
                    return value;
                }
                // Some answers (refusals) change no version: look again all the same.
                let _ = tokio::time::timeout(Duration::from_millis(50), version.changed()).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| panic!("never came: {what}; writes: {:#?}", self.writes()))
    }

    async fn answer(&self, request: Request<Body>) -> Response<Answer> {
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let path = head.uri.path().to_owned();
        let query = head.uri.query().unwrap_or_default().to_owned();
        match (path.as_str(), &head.method) {
            ("/.well-known/openid-configuration", _) => {
                return json_response(200, &json!({"issuer": "https://issuer.test"}));
            }
            ("/openid/v1/jwks", _) => return json_response(200, &json!({"keys": [{"kid": "1"}]})),
            (_, method) if *method == Method::GET => return self.read(&path, &query),
            _ => {}
        }
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (status, answer) = self.write(&head.method, &path, body);
        json_response(status, &answer)
    }

    fn read(&self, path: &str, query: &str) -> Response<Answer> {
        if query.contains("watch=true") {
            return self.watch(path, query);
        }
        let target = Target::of(path);
        let state = self.state.lock().unwrap();
        if target.name.is_some() {
            return match state.objects.get(path) {
                Some(object) => json_response(200, object),
                None => failure(404, "NotFound", path),
            };
        }
        let selector = Selector::of(query);
        let items: Vec<&Value> = state
            .objects
            .iter()
            .filter(|(at, object)| target.holds(at) && selector.matches(object))
            .map(|(_, o)| o)
            .collect();
        let list = json!({
            "apiVersion": "v1", "kind": "List",
            "metadata": {"resourceVersion": state.version.to_string()}, "items": items,
        });
        json_response(200, &list)
    }

    fn watch(&self, path: &str, query: &str) -> Response<Answer> {
        let from: u64 = parameter(query, "resourceVersion")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let (target, selector) = (Target::of(path), Selector::of(query));
        let (state, changed) = (Arc::clone(&self.state), self.version.subscribe());
        let lines = futures::stream::unfold((from, changed), move |(from, mut changed)| {
            let (state, target, selector) = (Arc::clone(&state), Target::of(&target.collection), selector.clone());
            async move {
                loop {
                    let (next, text) = {
                        let state = state.lock().unwrap();
                        let new = state
                            .events
                            .iter()
                            .filter(|event| event.version > from && target.holds(&event.path));
                        let lines: Vec<String> = new
                            .filter(|event| selector.matches(&event.object))
                            .map(|event| json!({"type": event.kind, "object": event.object}).to_string())
                            .collect();
                        let text = if lines.is_empty() {
                            String::new()
                        } else {
                            lines.join("\n") + "\n"
                        };
                        (state.version, text)
                    };
                    if !text.is_empty() {
                        let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(text)));
                        return Some((frame, (next, changed)));
                    }
                    if changed.changed().await.is_err() {
                        return None;
                    }
                }
            }
        });
        Response::new(Answer::new(StreamBody::new(lines.boxed())))
    }

    fn write(&self, method: &Method, path: &str, body: Value) -> (u16, Value) {
        let mut state = self.state.lock().unwrap();
        let fault = state
            .faults
            .iter()
            .position(|(ending, _)| path.ends_with(ending.as_str()));
        let (status, answer) = match fault {
            Some(at) => {
                let (_, status) = state.faults.remove(at);
                (
                    status.as_u16(),
                    status_object(status.as_u16(), "InternalError", "injected"),
                )
            }
            None => state.change(method, path, body),
        };
        let logged = if *method == Method::POST && status == 201 {
            format!("{path}/{}", answer["metadata"]["name"].as_str().unwrap_or_default())
        } else {
            path.to_owned()
        };
        state.writes.push(Write {
            method: method.clone(),
            path: logged,
            status,
        });
        self.version.send_replace(state.version);
        (status, answer)
    }
}

impl State {
    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let old = self.objects.get(path);
        let metadata = &mut object["metadata"];
        if let Some(old) = old {
            for kept in ["uid", "creationTimestamp", "generation", "namespace", "name"] {
                if metadata[kept].is_null() {
                    metadata[kept] = old["metadata"][kept].clone();
                }
            }
        }
        let version = self.version;
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("uid-{version}"));
        }
        if metadata["creationTimestamp"].is_null() {
            metadata["creationTimestamp"] =
                json!(format!("2026-01-01T00:{:02}:{:02}Z", version / 60 % 60, version % 60));
        }
        let spec_changed = old.is_none_or(|old| old.get("spec") != object.get("spec"));
        let generation = old.and_then(|old| old["metadata"]["generation"].as_i64()).unwrap_or(0);
        let metadata = &mut object["metadata"];
        metadata["generation"] = json!(generation + i64::from(spec_changed));
        metadata["resourceVersion"] = json!(version.to_string());
        if let Some(namespace) = namespace_of(path)
            && !path.ends_with(&format!("/namespaces/{namespace}"))
        {
            metadata["namespace"] = json!(namespace);
        }
        let kind = if old.is_some() { "MODIFIED" } else { "ADDED" };
        self.events.push(Event {
            version,
            kind,
            path: path.to_owned(),
            object: object.clone(),
        });
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    fn remove(&mut self, path: &str) -> Option<Value> {
        let mut object = self.objects.remove(path)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.events.push(Event {
            version: self.version,
            kind: "DELETED",
            path: path.to_owned(),
            object: object.clone(),
        });
        Some(object)
    }

    fn change(&mut self, method: &Method, path: &str, body: Value) -> (u16, Value) {
        let target = Target::of(path);
        match *method {
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default();
                let path = format!("{path}/{name}");
                if self.objects.contains_key(&path) {
                    return (409, status_object(409, "AlreadyExists", &path));
                }
                (201, self.store(&path, body))
            }
            Method::PUT | Method::PATCH => {
                let at = if target.status {
                    path.trim_end_matches("/status")
                } else {
                    path
                };
                let old = self.objects.get(at).cloned();
                let precondition = body["metadata"]["resourceVersion"].as_str();
                let uid = body["metadata"]["uid"].as_str();
                if old.is_none() && (target.status || *method == Method::PUT) {
                    return (404, status_object(404, "NotFound", at));
                }
                let current = old.as_ref().map(|old| old["metadata"].clone()).unwrap_or_default();
                if precondition.is_some_and(|version| current["resourceVersion"] != version)
                    || uid.is_some_and(|uid| current["uid"] != uid)
                {
                    return (409, status_object(409, "Conflict", at));
                }
                let mut merged = old.clone().unwrap_or_else(|| json!({}));
                if *method == Method::PUT {
                    merged = body;
                } else {
                    merge(&mut merged, body);
                }
                if old.as_ref().is_some_and(|old| same(old, &merged)) {
                    return (200, old.unwrap_or_default());
                }
                (200, self.store(at, merged))
            }
            Method::DELETE => {
                let uid = body["preconditions"]["uid"].as_str();
                match self.objects.get(path) {
                    None => (404, status_object(404, "NotFound", path)),
                    Some(found) if uid.is_some_and(|uid| found["metadata"]["uid"] != uid) => {
                        (409, status_object(409, "Conflict", path))
                    }
                    Some(_) => (200, self.remove(path).unwrap_or_default()),
                }
            }
            _ => (405, status_object(405, "MethodNotAllowed", path)),
        }
    }
}

/// Deep merge; conditions by type, webhooks by name, other lists as a whole.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) if from.iter().any(|item| item.get("type").is_some()) => {
            for item in from {
                match into.iter_mut().find(|old| old["type"] == item["type"]) {
                    Some(old) => *old = item,
                    None => into.push(item),
                }
            }
        }
        (Value::Array(into), Value::Array(from)) if from.iter().any(|item| item.get("clientConfig").is_some()) => {
            for item in from {
                if let Some(old) = into.iter_mut().find(|old| old["name"] == item["name"]) {
                    merge(old, item);
                }
            }
        }
        (into, from) => *into = from,
    }
}

fn same(old: &Value, new: &Value) -> bool {
    let stripped = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        object
    };
    stripped(old) == stripped(new)
}

impl Target {
    fn of(path: &str) -> Self {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        // /api/VERSION/… or /apis/GROUP/VERSION/…
        let head = if parts[0] == "api" { 2 } else { 3 };
        let rest = &parts[head..];
        let status = rest.last() == Some(&"status");
        let rest = if status { &rest[..rest.len() - 1] } else { rest };
        let named = match rest {
            [_] | ["namespaces", _, _] => None,
            _ => rest.last().map(|name| (*name).to_owned()),
        };
        Self {
            collection: path.to_owned(),
            name: named,
            status,
        }
    }

    /// Whether the object at that path is in this collection; one without a namespace holds those of all.
    fn holds(&self, path: &str) -> bool {
        let Some((parent, _)) = path.rsplit_once('/') else {
            return false;
        };
        if parent == self.collection {
            return true;
        }
        let (Some(group), Some(plural)) = (self.collection.rsplit_once('/'), parent.rsplit_once('/')) else {
            return false;
        };
        group.1 == plural.1 && parent.starts_with(&format!("{}/namespaces/", group.0))
    }
}

#[derive(Clone)]
struct Selector(Option<(String, String)>);

impl Selector {
    fn of(query: &str) -> Self {
        let text = parameter(query, "labelSelector").map(|text| text.replace("%2F", "/").replace("%3D", "="));
        Self(text.and_then(|text| {
            text.split_once('=')
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        }))
    }

    fn matches(&self, object: &Value) -> bool {
        self.0
            .as_ref()
            .is_none_or(|(key, value)| object["metadata"]["labels"][key] == json!(value))
    }
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn namespace_of(path: &str) -> Option<&str> {
    path.split("/namespaces/").nth(1)?.split('/').next()
}

fn status_object(code: u16, reason: &str, message: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message})
}

fn failure(code: u16, reason: &str, message: &str) -> Response<Answer> {
    json_response(code, &status_object(code, reason, message))
}

fn json_response(status: u16, body: &Value) -> Response<Answer> {
    let mut response = Response::new(Answer::new(Full::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
