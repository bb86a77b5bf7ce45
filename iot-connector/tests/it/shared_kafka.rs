//! Several connectors share topics of Kafka by streams of JetStream: each record is an Observation once, whoever is killed or
//! paused, and the account of all together balances.

use std::path::PathBuf;

use iot_connector_settings::Settings;
use rskafka::client::partition::PartitionClient;
use rstest::rstest;
use serde_json::Value;

use crate::{
    broker::{connected, lags},
    kafka::reading_from,
    kafka_broker::{KafkaBroker, produce},
    kill::Process,
    shared::{Ward, all_arrived, assert_adds_up, assert_balance, holds, is_taken_over, message, share},
    support::{Running, figure, get_json, until},
};

const PARTITIONS: usize = 6;
const REPEATED: &str = "iot_connector_device_event_repeated_total{source=\"kafka\"}";

struct Hall {
    ward: Ward,
    broker: KafkaBroker,
}

impl Hall {
    async fn open() -> Self {
        let ward = Ward::open().await;
        let broker = KafkaBroker::start(ward.folder.path());
        broker.make_topic(i32::try_from(PARTITIONS).unwrap()).await;
        Self { ward, broker }
    }

    fn member(&self, name: &str) -> Settings {
        let folder = self.ward.folder.path();
        let mut settings = reading_from(self.broker.open_address(), folder, &self.ward.url);
        settings.source.kafka.as_mut().unwrap().device_key = false;
        self.ward.sharing(settings, name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.ward.write(&self.member(name), name)
    }

    /// Where the reading of each partition goes on.
    async fn offsets(&self) -> Vec<u64> {
        let jetstream = self.ward.server.jetstream().await;
        let keys = jetstream.get_key_value("ward_vitals").await.unwrap();
        let mut offsets = Vec::new();
        for number in 0..PARTITIONS {
            let key = format!("partition.devices/{number}");
            let reading = keys.get(key).await.unwrap().unwrap();
            let reading: Value = serde_json::from_slice(&reading).unwrap();
            offsets.push(reading["next"].as_u64().unwrap());
        }
        offsets
    }

    async fn reach(&self, offsets: [u64; PARTITIONS]) {
        until(async || Some(self.offsets().await).filter(|own| own[..] == offsets)).await;
    }

    async fn partitions(&self) -> Vec<PartitionClient> {
        let mut partitions = Vec::new();
        for number in 0..PARTITIONS {
            partitions.push(self.broker.partition(i32::try_from(number).unwrap()).await);
        }
        partitions
    }
}

async fn send(partitions: &[PartitionClient], number: usize) {
    produce(&partitions[number % PARTITIONS], "", message(number), &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_partition_is_read_by_one_and_handed_over_where_it_stands() {
    let hall = Hall::open().await;
    let fhir = &hall.ward.fhir;
    let one = Running::start(hall.member("vitals-0")).await;
    let other = Running::start(hall.member("vitals-1")).await;
    share(&one.management, &other.management).await;
    let partitions = hall.partitions().await;
    for number in 0..60 {
        send(&partitions, number).await;
    }
    all_arrived(fhir, 60).await;
    assert_balance(&one.management, 60).await;
    let read = async |connector: &Running| {
        let metrics = connector.metrics().await;
        assert_eq!(figure(&metrics, REPEATED).unwrap_or(0), 0, "{metrics}");
        figure(&metrics, "iot_connector_device_event_total").unwrap()
    };
    let (by_one, by_other) = (read(&one).await, read(&other).await);
    assert!(
        by_one > 0 && by_other > 0 && by_one + by_other == 60,
        "{by_one} {by_other}"
    );
    lags(&one, "kafka", 0).await;
    hall.reach([10; PARTITIONS]).await;

    other.stop().await;
    holds(&one.management, |held| held == 256).await;
    for number in 60..120 {
        send(&partitions, number).await;
    }
    all_arrived(fhir, 120).await;
    assert_balance(&one.management, 120).await;
    assert_eq!(read(&one).await, by_one + 60);
    hall.reach([20; PARTITIONS]).await;
    one.stop().await;
}

#[rstest]
#[case::killed(true)]
#[case::paused(false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_of_a_member_that_is_gone_are_taken_over(#[case] killed: bool) {
    let hall = Hall::open().await;
    let one = Running::start(hall.member("vitals-0")).await;
    let partitions = hall.partitions().await;
    let send = async |number| send(&partitions, number).await;
    is_taken_over(&hall.ward.fhir, one, &hall.file("vitals-1"), killed, send).await;
}

/// A process's figure; 0 where there is none.
async fn told(process: &Process, metric: &str) -> u64 {
    let answer = reqwest::get(format!("{}/metrics", process.management)).await.unwrap();
    figure(&answer.text().await.unwrap(), metric).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_paused_member_has_read_it_leaves_to_whoever_took_it_over() {
    let hall = Hall::open().await;
    let member = |name| {
        let mut settings = hall.member(name);
        settings.dead_letters.max_count = 1;
        settings
    };
    let one = Running::start(member("vitals-0")).await;
    let other = Process::start(&hall.ward.write(&member("vitals-1"), "vitals-1"));
    share(&one.management, &other.management).await;
    let partitions = hall.partitions().await;
    // No more dead letters are allowed, so nobody publishes what is read.
    produce(&partitions[0], "", "not JSON", &[]).await;
    for management in [&one.management, &other.management] {
        let status = format!("{management}/status");
        until(async || Some(get_json(&status).await).filter(|page| page["source"]["state"] == "Waiting")).await;
    }
    for number in 0..24 {
        send(&partitions, number).await;
    }
    let lag = "iot_connector_source_lag{source=\"kafka\"}";
    until(async || (told(&other, lag).await > 0).then_some(())).await;
    let events = "iot_connector_device_event_total";
    let published = told(&other, events).await;
    other.pause();
    let client = reqwest::Client::new();
    let letter = one.dead_letters().await.pop().unwrap();
    let of = format!("{}/dead-letters/{}", one.management, letter["id"]);
    assert_eq!(client.delete(&of).send().await.unwrap().status(), 200);
    all_arrived(&hall.ward.fhir, 24).await;
    assert_balance(&one.management, 25).await;
    other.go_on();
    share(&one.management, &other.management).await;
    connected(&other.management).await;
    until(async || (told(&other, lag).await == 0).then_some(())).await;
    assert_eq!(told(&other, events).await, published);
    assert_eq!(told(&other, REPEATED).await, 0);
    assert_balance(&one.management, 25).await;
    one.stop().await;
}

/// Each with somebody killed; more by `SHARED_ROUNDS`.
const ROUNDS: usize = 4;
/// Records of each round.
const RECORDS: usize = 48;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_in_turn_every_record_is_an_observation_once() {
    let rounds = std::env::var("SHARED_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut hall = Hall::open().await;
    let fhir = hall.ward.fhir.clone();
    let files = ["vitals-0", "vitals-1"].map(|name| hall.file(name));
    let mut processes = files.each_ref().map(|path| Process::start(path));
    for round in 0..rounds {
        let partitions = hall.partitions().await;
        let moment = round * 13 % RECORDS;
        for number in 0..RECORDS {
            send(&partitions, round * RECORDS + number).await;
            if number == moment && round % 4 < processes.len() {
                processes[round % 4].kill();
                processes[round % 4] = Process::start(&files[round % 4]);
            } else if number == moment && round % 4 == 2 {
                hall.ward.server.kill();
                hall.ward.server.start_again();
            }
        }
        if round % 4 == 3 {
            hall.broker.kill();
            hall.broker.start_again();
        }
        let wanted = round * RECORDS;
        until(async || Some(()).filter(|()| fhir.all("Observation").len() >= wanted)).await;
    }
    let all = rounds * RECORDS;
    all_arrived(&fhir, all).await;
    assert_adds_up(&processes[0].management, all as u64).await;
    processes.iter_mut().for_each(Process::kill);
}
