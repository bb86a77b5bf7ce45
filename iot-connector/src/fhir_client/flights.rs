//! Requests that come while others are under way travel together, in a batch bundle; nobody waits for company.
//!
//! A batch and not a transaction: its entries succeed or fail by themselves, so that one bad Observation delays nobody.
//! How many bundles are under way at a time follows the server: one more whenever a full bundle waits, half as many after
//! 429, 503 (of a bundle or of an entry in one) or no answer.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use reqwest::{Method, header};
use tokio::sync::oneshot;
use tracing::warn;

use super::{
    FhirError,
    ask::{self, Ask, FHIR_JSON},
    connection::{Connection, Received},
};

/// Requests in a bundle, at most.
pub const ENTRIES: usize = 64;
/// Bytes of a bundle, at most, but for a single large resource.
const BYTES: usize = 2 << 20;
/// Bundles under way in the beginning.
const FIRST: usize = 2;

type Result = std::result::Result<(u16, Received), FhirError>;

/// Takes requests and gives each its answer.
pub struct Flights(Arc<Inner>);

struct Inner {
    connection: Connection,
    state: Mutex<State>,
}

struct State {
    waiting: VecDeque<Waiting>,
    under_way: usize,
    limit: Limit,
    /// Requests that may travel together: 1 where the server takes no batches.
    entries: usize,
}

struct Waiting {
    ask: Ask,
    answer: oneshot::Sender<Result>,
}

impl Flights {
    /// Nothing is under way; at most `most` bundles ever are.
    pub fn new(connection: Connection, most: usize) -> Self {
        Self(Arc::new(Inner {
            connection,
            state: Mutex::new(State::new(Limit::new(most))),
        }))
    }

    /// Sends a request, with others if there are some, and gives its own answer.
    pub async fn send(&self, ask: Ask) -> Result {
        let (answer, answered) = oneshot::channel();
        self.0.state().waiting.push_back(Waiting { ask, answer });
        depart(&self.0);
        answered
            .await
            .unwrap_or_else(|_| Err(FhirError::server("the program ends".to_owned())))
    }
}

/// Sends what waits, as far as it may be under way.
fn depart(inner: &Arc<Inner>) {
    while let Some(load) = inner.state().load() {
        let inner = inner.clone();
        tokio::spawn(async move {
            let throttled = inner.fly(load).await;
            inner.state().landed(throttled);
            depart(&inner);
        });
    }
}

impl State {
    fn new(limit: Limit) -> Self {
        Self {
            waiting: VecDeque::new(),
            under_way: 0,
            limit,
            entries: ENTRIES,
        }
    }

    /// What departs next.
    fn load(&mut self) -> Option<Vec<Waiting>> {
        // whoever doesn't wait any more needs no answer
        self.waiting.retain(|waiting| !waiting.answer.is_closed());
        if self.under_way >= self.limit.now || self.waiting.is_empty() {
            return None;
        }
        let mut bytes = 0;
        let fits = |waiting: &&Waiting| {
            bytes += waiting.ask.bytes();
            bytes <= BYTES
        };
        let count = self.waiting.iter().take(self.entries).take_while(fits).count().max(1);
        self.under_way += 1;
        Some(self.waiting.drain(..count).collect())
    }

    fn landed(&mut self, throttled: bool) {
        self.under_way -= 1;
        if throttled {
            self.limit.halve();
        } else if self.waiting.len() >= self.entries {
            self.limit.raise();
        }
    }
}

/// How many bundles may be under way: additive increase, multiplicative decrease.
#[derive(Debug)]
struct Limit {
    now: usize,
    most: usize,
}

impl Limit {
    fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            now: FIRST.min(most),
            most,
        }
    }

    fn raise(&mut self) {
        self.now = (self.now + 1).min(self.most);
    }

    fn halve(&mut self) {
        self.now = (self.now / 2).max(1);
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a load and hands out the answers; says whether the server wants less.
    async fn fly(&self, load: Vec<Waiting>) -> bool {
        let mut throttled = false;
        // a load that is refused as a whole goes on in halves
        let mut loads = vec![load];
        while let Some(mut load) = loads.pop() {
            if load.len() == 1 {
                for waiting in load {
                    let result = self.connection.exchange(waiting.ask.alone(&self.connection)).await;
                    throttled |= is_throttled(&result);
                    let _ = waiting.answer.send(result);
                }
                continue;
            }
            match self.together(&load).await {
                Ok(answers) => {
                    throttled |= answers.iter().any(|(status, _)| wants_less(*status));
                    for (waiting, answer) in load.into_iter().zip(answers) {
                        let _ = waiting.answer.send(Ok(answer));
                    }
                }
                Err(Refusal::TooMuch) => {
                    let rest = load.split_off(load.len() / 2);
                    loads.extend([rest, load]);
                }
                Err(Refusal::NoBatches(status)) => {
                    warn!("the FHIR server takes no batches ({status}); requests are sent one by one");
                    let mut state = self.state();
                    state.entries = 1;
                    for waiting in load.into_iter().rev() {
                        state.waiting.push_front(waiting);
                    }
                }
                Err(Refusal::Failed(error)) => {
                    throttled = true;
                    for waiting in load {
                        let _ = waiting.answer.send(Err(error.clone()));
                    }
                }
            }
        }
        throttled
    }

    async fn together(&self, load: &[Waiting]) -> std::result::Result<Vec<(u16, Received)>, Refusal> {
        let base = &self.connection.base;
        let request = self
            .connection
            .request(Method::POST, base.clone())
            .header(header::CONTENT_TYPE, FHIR_JSON)
            .body(ask::batch(load.iter().map(|waiting| &waiting.ask), base));
        let (status, received) = self.connection.exchange(request).await.map_err(Refusal::Failed)?;
        match status {
            200..=299 => ask::answers(received.body, load.len()).ok_or_else(|| {
                let reason = "the FHIR server answers a batch with something else than as many answers";
                Refusal::Failed(FhirError::server(reason.to_owned()))
            }),
            400 | 413 | 422 => Err(Refusal::TooMuch),
            405 | 501 => Err(Refusal::NoBatches(status)),
            _ => Err(Refusal::Failed(received.into_error(status))),
        }
    }
}

/// Why a bundle as a whole got no answers.
enum Refusal {
    /// It is too large, or something in it spoils the whole.
    TooMuch,
    /// The server takes none.
    NoBatches(u16),
    /// Not now.
    Failed(FhirError),
}

fn is_throttled(result: &Result) -> bool {
    match result {
        Ok((status, _)) => wants_less(*status),
        Err(_) => true,
    }
}

fn wants_less(status: u16) -> bool {
    matches!(status, 429 | 503)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_rises_slowly_and_falls_fast() {
        let mut limit = Limit::new(5);
        let mut seen = vec![limit.now];
        for throttled in [false, false, false, false, true, true, true, false] {
            if throttled {
                limit.halve();
            } else {
                limit.raise();
            }
            seen.push(limit.now);
        }
        assert_eq!(seen, [2, 3, 4, 5, 5, 2, 1, 1, 2]);
    }

    /// Whether a bundle of two, of which one is answered so, makes fewer bundles.
    async fn throttles(status: &'static str) -> bool {
        daemon::tls::install_provider();
        let listener = daemon::Listener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.address());
        let answer = async move || {
            let entry = |status: &str| serde_json::json!({"response": {"status": status}});
            axum::Json(serde_json::json!({"resourceType": "Bundle", "entry": [entry("201"), entry(status)]}))
        };
        let router = axum::Router::new().route("/", axum::routing::post(answer));
        let ends = daemon::Shutdown::new();
        tokio::spawn(async move { listener.serve(router, &ends, std::time::Duration::ZERO).await });
        let connection = Connection::new(&iot_connector_settings::FhirServer {
            url: url.clone(),
            ..iot_connector_settings::FhirServer::default()
        });
        let flights = Flights::new(connection.unwrap(), 4);
        let waiting = || Waiting {
            ask: Ask::get(reqwest::Url::parse(&url).unwrap()),
            answer: oneshot::channel().0,
        };
        flights.0.fly(vec![waiting(), waiting()]).await
    }

    #[tokio::test]
    async fn an_entry_that_is_throttled_makes_fewer_bundles() {
        assert!(!throttles("200 OK").await);
        assert!(!throttles("412").await);
        assert!(throttles("429").await);
        assert!(throttles("503 Service Unavailable").await);
    }

    #[test]
    fn a_load_is_bounded_by_entries_and_bytes() {
        let url = reqwest::Url::parse("http://localhost/Device/a").unwrap();
        let loads = |sizes: &[usize]| {
            let mut state = State::new(Limit { now: 9, most: 9 });
            let mut kept = Vec::new();
            for size in sizes {
                let (answer, answered) = oneshot::channel();
                kept.push(answered);
                let ask = Ask::put(url.clone(), "x".repeat(*size), ask::Precondition::Absent);
                state.waiting.push_back(Waiting { ask, answer });
            }
            std::iter::from_fn(|| state.load().map(|load| load.len())).collect::<Vec<_>>()
        };
        assert_eq!(loads(&[10; 130]), [64, 64, 2]);
        assert_eq!(loads(&[BYTES * 2, 10, BYTES / 2, BYTES / 2, 10]), [1, 2, 2]);
    }
}
