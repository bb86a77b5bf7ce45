//! Several connectors share a stream of JetStream: each message is an Observation once, whoever is killed, paused or told
//! to end, and the account of all together balances.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use iot_connector_settings::{Settings, SharedSpool};
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    broker::{AWAY, connected},
    kill::Process,
    nats::{reached, reading_from},
    nats_server::{NatsServer, make_stream, publish},
    support::{Fhir, Running, fhir_mapping, figure, get_json, settings, until},
};

/// A NATS server with the devices' stream, and a FHIR server.
pub struct Ward {
    pub folder: TempDir,
    pub server: NatsServer,
    pub fhir: Arc<Fhir>,
    pub url: String,
}

impl Ward {
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = NatsServer::start(folder.path(), false);
        make_stream(&server.jetstream().await).await;
        let (fhir, url) = Fhir::start().await;
        Self {
            folder,
            server,
            fhir,
            url,
        }
    }

    /// Settings of one that shares the work.
    fn member(&self, name: &str) -> Settings {
        let settings = reading_from(&self.server, self.folder.path(), &self.url);
        self.sharing(settings, name)
    }

    /// Settings of one that shares the work of a source.
    pub fn sharing(&self, mut settings: Settings, name: &str) -> Settings {
        let folder = self.folder.path();
        settings.window.max_events = 10;
        settings.spool.path = folder.join("no file at all");
        settings.spool.shared = Some(SharedSpool {
            name: "ward_vitals".to_owned(),
            member: name.to_owned(),
            nats: settings.source.nats.is_none().then(|| reached(&self.server, folder)),
            ..SharedSpool::default()
        });
        settings.validate().unwrap();
        settings
    }

    /// The same in a file.
    fn file(&self, name: &str) -> PathBuf {
        self.write(&self.member(name), name)
    }

    pub fn write(&self, settings: &Settings, name: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.json"));
        std::fs::write(&path, settings.minimal().to_string()).unwrap();
        path
    }
}

/// The reading number of one of many devices: each gives an Observation of its own.
pub fn message(number: usize) -> Value {
    let time = format!("2026-01-01T10:{:02}:{:02}Z", number / 60, number % 60);
    json!({"device": format!("d{}", number % 37), "patient": "p", "time": time, "heartrate": number})
}

/// The readings that are in Observations.
pub fn found(fhir: &Fhir) -> Vec<u64> {
    let observations = fhir.all("Observation");
    let mut found: Vec<u64> = observations
        .iter()
        .map(|observation| observation["valueQuantity"]["value"].as_u64().unwrap())
        .collect();
    found.sort_unstable();
    found
}

pub async fn all_arrived(fhir: &Fhir, count: usize) {
    let expected: Vec<u64> = (0..count as u64).collect();
    until(async || Some(()).filter(|()| fhir.all("Observation").len() >= count)).await;
    assert_eq!(found(fhir), expected);
}

pub async fn holds(management: &str, buckets: impl Fn(u64) -> bool) -> u64 {
    let status = format!("{management}/status");
    let held = async || get_json(&status).await["sharing"]["buckets"].as_u64();
    until(async || held().await.filter(|held| buckets(*held))).await
}

/// Returns when both share all the buckets.
pub async fn share(one: &str, other: &str) {
    let held = async |management: &str| get_json(&format!("{management}/status")).await["sharing"]["buckets"].as_u64();
    until(async || {
        let (one, other) = (held(one).await?, held(other).await?);
        Some(()).filter(|()| one > 0 && other > 0 && one + other == 256)
    })
    .await;
}

async fn metrics(management: &str) -> String {
    let answer = reqwest::get(format!("{management}/metrics")).await.unwrap();
    answer.text().await.unwrap()
}

/// Terms of the account together, at one moment.
fn sum(metrics: &str, terms: &[&str]) -> u64 {
    let of = |term: &&str| figure(metrics, &format!("iot_connector_account_total{{term=\"{term}\"}}"));
    terms.iter().map(|term| of(term).unwrap()).sum()
}

async fn account(management: &str, terms: &[&str]) -> u64 {
    sum(&metrics(management).await, terms)
}

const ENDS: [&str; 6] = [
    "points",
    "superseded",
    "duplicates",
    "aggregated",
    "omitted",
    "dead_readings",
];

pub async fn assert_balance(management: &str, messages: u64) {
    until(async || (account(management, &["messages"]).await >= messages).then_some(())).await;
    assert_eq!(account(management, &["messages"]).await, messages);
    assert_eq!(account(management, &["matched", "unmatched", "dead"]).await, messages);
    assert_eq!(
        account(management, &["readings"]).await,
        account(management, &ENDS).await
    );
}

/// The same where the NATS server was killed: it may deliver again what is finished, which is counted once more; nothing is
/// left out.
pub async fn assert_adds_up(management: &str, least: u64) {
    until(async || {
        let text = metrics(management).await;
        let of = |terms: &[&str]| sum(&text, terms);
        let (messages, ended) = (of(&["messages"]), of(&["matched", "unmatched", "dead"]));
        let is_whole = messages >= least && messages == ended && of(&["readings"]) == of(&ENDS);
        is_whole.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_share_the_work_and_one_that_ends_gives_its_part_back() {
    let ward = Ward::open().await;
    let (fhir, jetstream) = (&ward.fhir, ward.server.jetstream().await);
    let one = Running::start(ward.member("vitals-0")).await;
    holds(&one.management, |held| held == 256).await;
    let other = Running::start(ward.member("vitals-1")).await;
    share(&one.management, &other.management).await;
    for number in 0..100 {
        publish(&jetstream, "devices.d", message(number), &[]).await;
    }
    all_arrived(fhir, 100).await;
    for connector in [&one, &other] {
        let metrics = connector.metrics().await;
        let groups = figure(&metrics, "iot_connector_measurement_group_total");
        assert_ne!(groups, Some(0), "{metrics}");
        assert_balance(&connector.management, 100).await;
        connector.idle().await;
    }
    other.stop().await;
    holds(&one.management, |held| held == 256).await;
    for number in 100..120 {
        publish(&jetstream, "devices.d", message(number), &[]).await;
    }
    all_arrived(fhir, 120).await;
    assert_balance(&one.management, 120).await;
    assert_eq!(account(&one.management, &["points"]).await, 120);
    one.stop().await;
    assert!(!ward.folder.path().join("no file at all").exists());
}

#[rstest]
#[case::killed(true)]
#[case::paused(false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_gone_is_taken_over(#[case] killed: bool) {
    let ward = Ward::open().await;
    let (fhir, jetstream) = (&ward.fhir, ward.server.jetstream().await);
    let one = Running::start(ward.member("vitals-0")).await;
    let send = async |number| publish(&jetstream, "devices.d", message(number), &[]).await;
    is_taken_over(fhir, one, &ward.file("vitals-1"), killed, send).await;
}

/// Starts another member, which is killed or paused while messages are sent and comes back before the last of them.
pub async fn is_taken_over(fhir: &Fhir, one: Running, settings: &Path, killed: bool, send: impl AsyncFn(usize)) {
    let mut other = Process::start(settings);
    share(&one.management, &other.management).await;
    for management in [&one.management, &other.management] {
        connected(management).await;
    }
    for number in 0..120 {
        send(number).await;
        if number == 60 && killed {
            other.kill();
        } else if number == 60 {
            other.pause();
        }
    }
    all_arrived(fhir, 120).await;
    assert_balance(&one.management, 120).await;
    holds(&one.management, |held| held == 256).await;
    if killed {
        other = Process::start(settings);
    } else {
        other.go_on();
    }
    share(&one.management, &other.management).await;
    for number in 120..180 {
        send(number).await;
    }
    all_arrived(fhir, 180).await;
    assert_balance(&one.management, 180).await;
    other.kill();
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_paused_member_had_in_hand_it_leaves_to_whoever_took_it_over() {
    let ward = Ward::open().await;
    let (fhir, jetstream) = (&ward.fhir, ward.server.jetstream().await);
    fhir.always(Some(AWAY));
    let one = Running::start(ward.member("vitals-0")).await;
    let other = Process::start(&ward.file("vitals-1"));
    share(&one.management, &other.management).await;
    for number in 0..40 {
        publish(&jetstream, "devices.d", message(number), &[]).await;
    }
    let metrics = format!("{}/metrics", other.management);
    until(async || {
        let text = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
        text.contains("Temporary").then_some(())
    })
    .await;
    other.pause();
    fhir.always(None);
    all_arrived(fhir, 40).await;
    assert_balance(&one.management, 40).await;
    let asked = fhir.requests().len();
    other.go_on();
    share(&one.management, &other.management).await;
    assert_eq!(fhir.requests()[asked..], [] as [String; 0]);
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_and_all_killed_members_lose_nothing() {
    let mut ward = Ward::open().await;
    let fhir = ward.fhir.clone();
    let files = ["vitals-0", "vitals-1"].map(|name| ward.file(name));
    let mut processes = files.each_ref().map(|path| Process::start(path));
    let jetstream = ward.server.jetstream().await;
    for number in 0..100 {
        publish(&jetstream, "devices.d", message(number), &[]).await;
        if number == 50 {
            processes.iter_mut().for_each(Process::kill);
        }
    }
    processes = files.each_ref().map(|path| Process::start(path));
    until(async || Some(()).filter(|()| found(&fhir).len() > 60)).await;
    ward.server.kill();
    ward.server.start_again();
    all_arrived(&fhir, 100).await;
    assert_adds_up(&processes[0].management, 100).await;
    processes.iter_mut().for_each(Process::kill);
}

/// Each with somebody killed; more by `SHARED_ROUNDS`.
const ROUNDS: usize = 4;
/// Messages of each round.
const MESSAGES: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_in_turn_every_message_is_an_observation_once() {
    let rounds = std::env::var("SHARED_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut ward = Ward::open().await;
    let fhir = ward.fhir.clone();
    let names = ["vitals-0", "vitals-1", "vitals-2"];
    let files = names.map(|name| ward.file(name));
    let mut processes = files.each_ref().map(|path| Process::start(path));
    for round in 0..rounds {
        let jetstream = ward.server.jetstream().await;
        // Somebody else each time, in the middle of other work.
        let (victim, moment) = (round * 7 % 4, round * 13 % MESSAGES);
        for number in 0..MESSAGES {
            publish(&jetstream, "devices.d", message(round * MESSAGES + number), &[]).await;
            if number == moment && victim < processes.len() {
                processes[victim].kill();
                processes[victim] = Process::start(&files[victim]);
            }
        }
        if victim == processes.len() {
            ward.server.kill();
            ward.server.start_again();
        }
        let wanted = round * MESSAGES;
        until(async || Some(()).filter(|()| fhir.all("Observation").len() >= wanted)).await;
    }
    let all = rounds * MESSAGES;
    all_arrived(&fhir, all).await;
    assert_adds_up(&processes[0].management, all as u64).await;
    processes.iter_mut().for_each(Process::kill);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_deleted_are_made_anew_and_read_from_their_beginning() {
    let ward = Ward::open().await;
    let (fhir, jetstream) = (&ward.fhir, ward.server.jetstream().await);
    let one = Running::start(ward.member("vitals-0")).await;
    for number in 0..40 {
        publish(&jetstream, "devices.d", message(number), &[]).await;
    }
    all_arrived(fhir, 40).await;
    assert_balance(&one.management, 40).await;
    jetstream.delete_stream("ward_vitals").await.unwrap();
    for number in 40..50 {
        publish(&jetstream, "devices.d", message(number), &[]).await;
    }
    all_arrived(fhir, 50).await;
    assert_balance(&one.management, 50).await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_those_of_all() {
    let ward = Ward::open().await;
    let (fhir, jetstream) = (&ward.fhir, ward.server.jetstream().await);
    let settings = ward.member("vitals-0");
    let one = Running::start(settings.clone()).await;
    let other = Running::start(ward.member("vitals-1")).await;
    share(&one.management, &other.management).await;
    publish(&jetstream, "devices.d", message(0), &[]).await;
    publish(&jetstream, "devices.d", "not JSON", &[("site", "ward a")]).await;
    let mut slow = message(1);
    slow["heartrate"] = json!("slow");
    publish(&jetstream, "devices.d", &slow, &[]).await;
    publish(&jetstream, "devices.d", json!({"nothing": "known"}), &[]).await;
    let letters = until(async || Some(other.dead_letters().await).filter(|letters| letters.len() == 2)).await;
    assert_balance(&one.management, 4).await;
    let mut reasons: Vec<&str> = letters
        .iter()
        .map(|letter| letter["reason"].as_str().unwrap())
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["InvalidDataFormat", "InvalidQuantityFhirValue"]);
    let id = |reason: &str| letters.iter().find(|letter| letter["reason"] == reason).unwrap()["id"].clone();
    let of = format!("{}/dead-letters/{}", one.management, id("InvalidDataFormat"));
    let letter = get_json(&of).await;
    assert_eq!(letter["payloadText"], "not JSON");
    assert_eq!(letter["properties"], json!({"site": "ward a"}));
    let client = reqwest::Client::new();
    let gone: Value = client.delete(&of).send().await.unwrap().json().await.unwrap();
    assert_eq!(gone, json!({"discarded": 1}));
    assert_eq!(reqwest::get(&of).await.unwrap().status(), 404);

    // With a mapping that takes text the other one becomes an Observation.
    let mut mapping = fhir_mapping();
    mapping["template"][0]["template"]["value"] = json!({"valueType": "String", "valueName": "hr"});
    std::fs::write(settings.fhir_mapping.as_ref().unwrap(), mapping.to_string()).unwrap();
    let all = format!("{}/dead-letters/replay?all=true", other.management);
    until(async || {
        let answer = client.post(&all).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        // A member that could not show itself in time, on a machine with much else to do, begins anew.
        assert!(status == 200 || status == 503, "{status}: {text}");
        Some(()).filter(|()| fhir.all("Observation").len() == 2)
    })
    .await;
    let taken = fhir.all("Observation");
    assert!(
        taken.iter().any(|observation| observation["valueString"] == "slow"),
        "{taken:?}"
    );
    assert_adds_up(&one.management, 4).await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_of_one_part_takes_the_others_of_its_message_along() {
    let ward = Ward::open().await;
    let one = Running::start(ward.member("vitals-0")).await;
    holds(&one.management, |held| held == 256).await;
    let mut twice_wrong = message(0);
    twice_wrong["heartrate"] = json!("slow");
    twice_wrong["steps"] = json!("many");
    publish(&ward.server.jetstream().await, "devices.d", twice_wrong, &[]).await;
    let letters = until(async || Some(one.dead_letters().await).filter(|letters| letters.len() == 2)).await;
    assert_balance(&one.management, 1).await;
    let replay = format!("{}/dead-letters/{}/replay", one.management, letters[0]["id"]);
    let answer = reqwest::Client::new().post(&replay).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_balance(&one.management, 2).await;
    let ids = |letters: &[Value]| letters.iter().map(|letter| letter["id"].clone()).collect::<Vec<_>>();
    let again = one.dead_letters().await;
    assert_eq!(again.len(), 2, "{again:?}");
    assert!(ids(&again).iter().all(|id| !ids(&letters).contains(id)), "{again:?}");
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_alone_tells_whether_its_streams_are_there() {
    let mut ward = Ward::open().await;
    let one = Running::start(ward.sharing(settings(ward.folder.path(), &ward.url), "vitals-0")).await;
    let is = async |state: &str| {
        until(async || {
            let page = one.status().await;
            Some(page["source"].clone()).filter(|source| source["state"] == state)
        })
        .await
    };
    assert_eq!(is("Connected").await, json!({"kind": "http", "state": "Connected"}));
    ward.server.kill();
    let told = is("Connecting").await;
    assert!(!told["message"].as_str().unwrap().is_empty(), "{told}");
    assert_eq!(one.send(message(0)).await, 503);
    ward.server.start_again();
    is("Connected").await;
    assert_eq!(one.send(message(0)).await, 202);
    all_arrived(&ward.fhir, 1).await;
    one.stop().await;
}

#[rstest]
#[case::beside_a_stream(true)]
#[case::alone(false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_may_send_to_any_member_and_repeat_a_request_with_its_key(#[case] has_source: bool) {
    let ward = Ward::open().await;
    let fhir = &ward.fhir;
    let member = |name: &str| {
        if has_source {
            ward.member(name)
        } else {
            ward.sharing(settings(ward.folder.path(), &ward.url), name)
        }
    };
    let one = Running::start(member("vitals-0")).await;
    let other = Running::start(member("vitals-1")).await;
    share(&one.management, &other.management).await;
    let client = reqwest::Client::new();
    let send = async |to: &Running, key: &str, body: String| {
        let request = client.post(&to.messages).header("idempotency-key", key).body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let body = [message(0), message(1)].map(|message| message.to_string()).join("\n");
    let accepted = send(&one, "k", body.clone()).await;
    assert_eq!((accepted.0, &accepted.1["accepted"]), (202, &json!(2)));
    assert_eq!(send(&other, "k", body.clone()).await, accepted);
    assert_eq!(send(&other, "k", message(2).to_string()).await.0, 422);
    assert_eq!(other.send(message(2)).await, 202);
    all_arrived(fhir, 3).await;
    assert_balance(&one.management, 3).await;

    // Whoever is asked knows what became of a message.
    let ids = &accepted.1["ids"];
    let (first, last) = (ids["first"].as_i64().unwrap(), ids["last"].as_i64().unwrap());
    assert_eq!(last, first + 1);
    for connector in [&one, &other] {
        let of = format!("{}/traces/{last}", connector.management);
        let trace = until(async || Some(get_json(&of).await).filter(|trace| trace["state"] == "Done")).await;
        assert_eq!(trace["observations"].as_array().unwrap().len(), 1, "{trace}");
        assert_eq!(trace["mapping"]["measurements"][0]["deviceId"], "d1", "{trace}");
        let latest = get_json(&format!("{}/traces", connector.management)).await;
        assert_eq!(latest.as_array().unwrap().len(), 3, "{latest}");
    }
    assert_eq!(one.send("not JSON").await, 202);
    let letter = until(async || one.dead_letters().await.pop()).await;
    let trace = get_json(&format!("{}/traces/{}", other.management, letter["message"])).await;
    assert_eq!(trace["deadLetters"][0]["id"], letter["id"], "{trace}");
    let unknown = reqwest::get(format!("{}/traces/1", one.management)).await.unwrap();
    assert_eq!(unknown.status(), 404);

    // Without mappings nobody can tell whose a message is.
    let mut settings = member("vitals-2");
    settings.device_mapping = Some(ward.folder.path().join("none.json"));
    let third = Running::start(settings).await;
    assert_eq!(third.send(message(3)).await, 503);
    for connector in [third, one, other] {
        connector.stop().await;
    }
}
