//! kill -9 of connector and FHIR server at random moments while devices send: nothing is lost, nothing is twice.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use account::{Broker, Devices, Load, Pair, Shared, Terms, crash, is_whole, nothing_is_lost, observations};
use rstest::rstest;
use test_length::Dice;

/// Devices, a tenth of whose messages is poison.
const LOAD: Load = Load {
    devices: 40,
    rate: 200,
    steps: 3,
    poison: 10,
};
/// Kills of a short and of a long run.
const KILLS: (u32, u32) = (6, 300);
/// The next kill is so many milliseconds away, and up to so many more.
const PAUSE: (u64, usize) = (200, 3_000);

/// The folder of the programs: `TEST_PROGRAMS`, or that of this test, after they are built.
fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("TEST_PROGRAMS") {
        return folder.into();
    }
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "fhir-server", "-p", "iot-connector", "--bins"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(status.success(), "the programs aren't built");
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_and_reading_is_in_one_place_whatever_is_killed() {
    let mut dice = Dice::new(test_length::crash_seed());
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::start(&programs(), folder.path()).await.unwrap();
    let mut devices = Devices::new(LOAD);
    for _ in test_length::rounds("kills of connector and FHIR server", KILLS.0, KILLS.1) {
        let pause = Duration::from_millis(PAUSE.0 + dice.below(PAUSE.1) as u64);
        devices = crash(&mut pair, devices, pause, &mut dice).await.unwrap();
    }
    let terms = Terms::settled(&pair.management_url, devices.sent.messages())
        .await
        .unwrap();
    let found = observations(&pair.fhir_url).await.unwrap();
    is_whole(devices.sent, &terms, &found).unwrap();
}

/// Connectors that share the work.
const CONNECTORS: usize = 3;

#[rstest]
#[case::by_nats(Broker::Nats)]
#[case::by_kafka(Broker::Kafka)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_shared_work_is_lost_whatever_is_killed(#[case] broker: Broker) {
    let mut dice = Dice::new(test_length::crash_seed());
    let folder = tempfile::tempdir().unwrap();
    let mut shared = Shared::start(&programs(), folder.path(), CONNECTORS, broker)
        .await
        .unwrap();
    let mut devices = Devices::new(LOAD);
    for _ in test_length::rounds("kills of connectors, brokers and FHIR server", KILLS.0, KILLS.1) {
        let pause = Duration::from_millis(PAUSE.0 + dice.below(PAUSE.1) as u64);
        devices = shared.crash(devices, pause, &mut dice).await.unwrap();
    }
    let terms = Terms::settled(&shared.management_urls[0], devices.sent.messages())
        .await
        .unwrap();
    let found = observations(&shared.fhir_url).await.unwrap();
    nothing_is_lost(devices.sent, &terms, &found).unwrap();
}
