//! One client, which knows exactly what it was told: after a crash each of its resources is as it was acknowledged, or
//! as the one write left it that nobody answered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::program::Program;
use test_length::Dice;

/// Resources of a client that are written again and again.
const IDS: usize = 12;
/// Things that all clients create on condition that they aren't there.
const SHARED: usize = 40;
/// Observations of a transaction.
const OBSERVATIONS: usize = 3;

/// What a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    version: u32,
    /// The number in its family name; none: it is deleted.
    family: Option<usize>,
}

/// A write that is on its way.
#[derive(Debug, Clone)]
enum Writing {
    Put(usize, usize),
    Delete(usize),
    Create(usize),
    Transaction { puts: [usize; 2], number: usize },
    Once(usize),
}

pub struct Client {
    name: u64,
    dice: Dice,
    /// Number of the next write.
    next: usize,
    known: BTreeMap<usize, State>,
    /// Since the last proof.
    touched: BTreeSet<usize>,
    created: Vec<usize>,
    transactions: Vec<usize>,
    once: BTreeSet<usize>,
    /// Created and transactions before these are proved.
    proved: (usize, usize),
    unanswered: Option<Writing>,
}

impl Client {
    pub fn new(name: u64, seed: u64) -> Self {
        Self {
            name,
            dice: Dice::new(seed ^ (name + 1).wrapping_mul(0x5851_f42d_4c95_7f2d)),
            next: 0,
            known: BTreeMap::new(),
            touched: BTreeSet::new(),
            created: Vec::new(),
            transactions: Vec::new(),
            once: BTreeSet::new(),
            proved: (0, 0),
            unanswered: None,
        }
    }

    /// Writes until nobody answers.
    pub async fn work(mut self, base: Arc<str>, acknowledged: Arc<AtomicUsize>) -> Self {
        let http = reqwest::Client::new();
        loop {
            let writing = self.choose();
            self.unanswered = Some(writing.clone());
            let (method, path, body, once) = self.request(&writing);
            let mut request = http.request(method, format!("{base}/{path}"));
            if let Some(criteria) = once {
                request = request.header("if-none-exist", criteria);
            }
            if !body.is_empty() {
                request = request.header("content-type", "application/fhir+json").body(body);
            }
            let Ok(answer) = request.send().await else {
                return self;
            };
            let status = answer.status();
            // its database is gone, and what became of the write isn't known
            if status == StatusCode::SERVICE_UNAVAILABLE {
                return self;
            }
            assert!(status.is_success(), "{writing:?}: {status} {:?}", answer.text().await);
            // the status alone is an acknowledgement
            self.acknowledge(&writing);
            self.unanswered = None;
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn choose(&mut self) -> Writing {
        self.next += 1;
        let id = self.dice.below(IDS);
        match self.dice.below(10) {
            0..4 => Writing::Put(id, self.next),
            4 => Writing::Delete(id),
            5..7 => Writing::Create(self.next),
            7..9 => Writing::Transaction {
                puts: [id, (id + 1) % IDS],
                number: self.next,
            },
            _ => Writing::Once(self.dice.below(SHARED)),
        }
    }

    fn id(&self, number: usize) -> String {
        format!("c{}-{number}", self.name)
    }

    fn patient(&self, number: usize, family: usize) -> String {
        let id = self.id(number);
        format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"F{family}x"}}]}}"#)
    }

    /// What finds what write `number` created.
    fn token(&self, number: usize) -> String {
        format!("http://crash.example|{}-{number}", self.name)
    }

    fn observation(&self, number: usize) -> String {
        let value = format!("{}-{number}", self.name);
        format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"crash"}},"identifier":[{{"system":"http://crash.example","value":"{value}"}}]}}"#
        )
    }

    fn request(&self, writing: &Writing) -> (Method, String, String, Option<String>) {
        match *writing {
            Writing::Put(id, family) => {
                let path = format!("Patient/{}", self.id(id));
                (Method::PUT, path, self.patient(id, family), None)
            }
            Writing::Delete(id) => (Method::DELETE, format!("Patient/{}", self.id(id)), String::new(), None),
            Writing::Create(number) => (Method::POST, "Observation".to_owned(), self.observation(number), None),
            Writing::Once(thing) => {
                let body = format!(
                    r#"{{"resourceType":"Device","identifier":[{{"system":"http://once.example","value":"{thing}"}}]}}"#
                );
                let criteria = format!("identifier=http://once.example|{thing}");
                (Method::POST, "Device".to_owned(), body, Some(criteria))
            }
            Writing::Transaction { puts, number } => {
                let mut entries = String::new();
                for id in puts {
                    let (place, patient) = (self.id(id), self.patient(id, number));
                    // a String takes everything
                    let _ = write!(
                        entries,
                        r#"{{"resource":{patient},"request":{{"method":"PUT","url":"Patient/{place}"}}}},"#
                    );
                }
                let observation = self.observation(number);
                let posts =
                    vec![
                        format!(r#"{{"resource":{observation},"request":{{"method":"POST","url":"Observation"}}}}"#);
                        OBSERVATIONS
                    ];
                let posts = posts.join(",");
                let body = format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{entries}{posts}]}}"#);
                (Method::POST, String::new(), body, None)
            }
        }
    }

    /// The state of `id` after a write of `family`; none: a deletion.
    fn after(&self, id: usize, family: Option<usize>) -> Option<State> {
        match (self.known.get(&id), family) {
            (None, None) => None,
            (Some(State { family: None, .. }), None) => self.known.get(&id).copied(),
            (before, family) => Some(State {
                version: before.map_or(1, |state| state.version + 1),
                family,
            }),
        }
    }

    fn acknowledge(&mut self, writing: &Writing) {
        match *writing {
            Writing::Put(id, family) => self.put(id, Some(family)),
            Writing::Delete(id) => self.put(id, None),
            Writing::Create(number) => self.created.push(number),
            Writing::Once(thing) => {
                self.once.insert(thing);
            }
            Writing::Transaction { puts, number } => {
                self.transactions.push(number);
                for id in puts {
                    self.put(id, Some(number));
                }
            }
        }
    }

    fn put(&mut self, id: usize, family: Option<usize>) {
        self.touched.insert(id);
        if let Some(state) = self.after(id, family) {
            self.known.insert(id, state);
        }
    }

    /// After a crash: finds out what became of the write that nobody answered, and proves what was touched since.
    pub async fn settle(&mut self, program: &Program) {
        if let Some(writing) = self.unanswered.take() {
            if self.was_done(&writing, program).await {
                self.acknowledge(&writing);
            } else if let Writing::Put(id, _) | Writing::Delete(id) = writing {
                self.touched.insert(id);
            } else if let Writing::Transaction { puts, .. } = writing {
                self.touched.extend(puts);
            }
        }
        for id in std::mem::take(&mut self.touched) {
            self.prove(id, program).await;
        }
        self.prove_created(program).await;
    }

    /// Whether the write is there; if it isn't, the proof of what was before follows.
    async fn was_done(&self, writing: &Writing, program: &Program) -> bool {
        match *writing {
            Writing::Put(id, family) => self.read(id, program).await == self.after(id, Some(family)),
            Writing::Delete(id) => self.read(id, program).await == self.after(id, None),
            Writing::Create(number) => self.count(number, program).await == 1,
            Writing::Once(_) => false,
            Writing::Transaction { number, .. } => {
                let found = self.count(number, program).await;
                assert!(
                    found == 0 || found == OBSERVATIONS,
                    "half a transaction: {found} of {OBSERVATIONS}"
                );
                found > 0
            }
        }
    }

    async fn read(&self, id: usize, program: &Program) -> Option<State> {
        let place = format!("{}/Patient/{}", program.base, self.id(id));
        let answer = program.client.get(place).send().await.expect("an answer");
        let (status, etag) = (answer.status(), answer.headers().get("etag").cloned());
        let version = etag.and_then(|etag| etag.to_str().ok()?.trim_matches(['W', '/', '"']).parse().ok());
        match status {
            StatusCode::OK => {
                let body: Value = answer.json().await.expect("JSON");
                let family = body.pointer("/name/0/family").and_then(Value::as_str);
                let family = family.and_then(|text| text.trim_matches(['F', 'x']).parse().ok());
                assert!(family.is_some(), "{body}");
                Some(State {
                    version: version.expect("an ETag"),
                    family,
                })
            }
            StatusCode::GONE => Some(State {
                version: version.expect("an ETag"),
                family: None,
            }),
            StatusCode::NOT_FOUND => None,
            other => panic!("{}: {other}", self.id(id)),
        }
    }

    /// How many resources write `number` made.
    async fn count(&self, number: usize, program: &Program) -> usize {
        let search = format!("Observation?identifier={}&_summary=count", self.token(number));
        total(program, &search).await
    }

    async fn prove(&self, id: usize, program: &Program) {
        let expected = self.known.get(&id).copied();
        let name = self.id(id);
        assert_eq!(self.read(id, program).await, expected, "{name}");
        let found = total(program, &format!("Patient?_id={name}&_summary=count")).await;
        let family = expected.and_then(|state| state.family);
        assert_eq!(found, usize::from(family.is_some()), "{name}");
        if let Some(family) = family {
            let search = format!("Patient?family:exact=F{family}x&_id={name}&_summary=count");
            assert_eq!(total(program, &search).await, 1, "{name} isn't found by what it says");
        }
    }

    async fn prove_created(&mut self, program: &Program) {
        for number in &self.created[self.proved.0..] {
            assert_eq!(
                self.count(*number, program).await,
                1,
                "client {} lost {number}",
                self.name
            );
        }
        for number in &self.transactions[self.proved.1..] {
            assert_eq!(
                self.count(*number, program).await,
                OBSERVATIONS,
                "client {} lost {number}",
                self.name
            );
        }
        self.proved = (self.created.len(), self.transactions.len());
    }

    /// Proves everything again, and that no version is missing.
    pub async fn prove_all(&mut self, program: &Program) {
        self.proved = (0, 0);
        self.prove_created(program).await;
        for (id, state) in &self.known {
            self.prove(*id, program).await;
            let history = program
                .json(&format!("Patient/{}/_history?_count=100", self.id(*id)))
                .await;
            let entries = history["entry"].as_array().map_or(0, Vec::len);
            let versions = usize::try_from(state.version).expect("few");
            assert_eq!(entries, versions.min(100), "{}", self.id(*id));
        }
    }
}

/// What every client created on condition is there once.
pub async fn prove_single(program: &Program, clients: &[Client]) {
    for thing in 0..SHARED {
        let found = total(
            program,
            &format!("Device?identifier=http://once.example|{thing}&_summary=count"),
        )
        .await;
        let acknowledged = clients.iter().any(|client| client.once.contains(&thing));
        assert!(found <= 1 && (found == 1 || !acknowledged), "{thing}: {found}");
    }
}

async fn total(program: &Program, search: &str) -> usize {
    let answer = program.json(search).await;
    let total = answer["total"].as_u64();
    usize::try_from(total.unwrap_or_else(|| panic!("{search}: {answer}"))).expect("few")
}
