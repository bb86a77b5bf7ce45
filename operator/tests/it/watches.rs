//! Watches: what the API server may do to them, and that they go on.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daemon::Health;
use fhir_operator::kubernetes::watches::{News, SILENCE, TIMEOUT, follow};
use futures::StreamExt;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// What the server does with the next request for a watch.
enum Act {
    /// Sends these events, then closes in order.
    Close(Vec<Value>),
    /// Sends nothing, and never closes: a connection that somebody dropped without a word.
    BlackHole,
}

struct Script {
    lists: Vec<Vec<&'static str>>,
    acts: Vec<Act>,
}

fn object(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "ward", "resourceVersion": "7"}})
}

fn answer(script: &Mutex<Script>, request: &Request<Body>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let mut script = script.lock().unwrap();
    if !request.uri().query().unwrap_or_default().contains("watch=true") {
        let items: Vec<Value> = script.lists.remove(0).into_iter().map(object).collect();
        let list =
            json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "5"}, "items": items});
        return Response::new(UnsyncBoxBody::new(Full::from(list.to_string())));
    }
    let act = if script.acts.is_empty() {
        Act::BlackHole
    } else {
        script.acts.remove(0)
    };
    match act {
        Act::Close(events) => {
            let lines: Vec<String> = events.iter().map(Value::to_string).collect();
            let text = lines.join("\n") + "\n";
            Response::new(UnsyncBoxBody::new(Full::from(text)))
        }
        Act::BlackHole => {
            let silence = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
            Response::new(StreamBody::new(silence.boxed()).boxed_unsync())
        }
    }
}

/// Follows under the script, and gives what is heard as `+name`, `-name` or `=names`.
fn play(script: Script) -> (mpsc::UnboundedReceiver<String>, Health) {
    let script = Arc::new(Mutex::new(script));
    let service = tower::service_fn(move |request: Request<Body>| {
        let script = Arc::clone(&script);
        async move { Ok::<_, Infallible>(answer(&script, &request)) }
    });
    let (health, (told, heard)) = (Health::new(), mpsc::unbounded_channel());
    let pulse = health.heartbeat("watch", SILENCE);
    tokio::spawn(async move {
        let api = Api::all(Client::new(service, "default"));
        let name = |object: &ConfigMap| object.metadata.name.clone().unwrap();
        follow::<ConfigMap>(api, None, pulse, move |news| {
            let text = match news {
                News::All(all) => {
                    let names: Vec<String> = all.iter().map(|object| name(object.0.as_ref().unwrap())).collect();
                    format!("={}", names.join(","))
                }
                News::Applied(object) => format!("+{}", name(&object.0.unwrap())),
                News::Deleted(object) => format!("-{}", name(&object.0.unwrap())),
            };
            let _ = told.send(text);
        })
        .await;
    });
    (heard, health)
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_gone_is_listed_anew() {
    let gone = json!({"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "gone"}});
    let events = vec![json!({"type": "ADDED", "object": object("two")}), gone];
    let (mut heard, _health) = play(Script {
        lists: vec![vec!["one"], vec!["two"]],
        acts: vec![Act::Close(events)],
    });
    for expected in ["=one", "+two", "=two"] {
        assert_eq!(heard.recv().await.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_is_taken_up_where_it_was() {
    let acts = vec![
        Act::Close(vec![json!({"type": "MODIFIED", "object": object("one")})]),
        Act::Close(vec![json!({"type": "DELETED", "object": object("one")})]),
    ];
    let (mut heard, _health) = play(Script {
        lists: vec![vec!["one"]],
        acts,
    });
    for expected in ["=one", "+one", "-one"] {
        assert_eq!(heard.recv().await.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_died_without_a_word_is_given_up_in_time() {
    let acts = vec![
        Act::BlackHole,
        Act::Close(vec![json!({"type": "ADDED", "object": object("late")})]),
    ];
    let (mut heard, _health) = play(Script {
        lists: vec![vec![], vec![]],
        acts,
    });
    assert_eq!(heard.recv().await.unwrap(), "=");
    let started = tokio::time::Instant::now();
    assert_eq!(heard.recv().await.unwrap(), "=", "what was missed is listed");
    assert_eq!(heard.recv().await.unwrap(), "+late");
    assert!(started.elapsed() < TIMEOUT + Duration::from_secs(10));
}
