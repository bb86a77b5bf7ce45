//! IoTConnectors: what is built and said for what is asked and observed.

use std::sync::Arc;

use fhir_operator_core::Installation;
use fhir_operator_core::api::{ConditionType, IoTConnector};
use fhir_operator_core::conditions::find;
use fhir_operator_core::iot_connector::keys::KeyList;
use fhir_operator_core::iot_connector::{Children, World, children, decide, status};
use iot_connector_settings::{FhirState, MappingState, Settings, SourceState, SourceStatus, StatusPage};
use kube::CustomResourceExt as _;
use rstest::rstest;

use crate::fixture::{at, collector, connector, connector_world, documents, json, lines, service, yaml};

const MAPPED: &str = "deviceMapping: {templateType: CollectionContent, template: [{templateType: JsonPathContent, template: {typeName: hr, typeMatchExpression: '$..[?(@heartRate)]', deviceIdExpression: $.deviceId, timestampExpression: $.endDate, values: [{required: 'true', valueExpression: $.heartRate, valueName: hr}]}}]}
  , fhirMapping: {templateType: CollectionFhir, template: [{templateType: CodeValueFhir, template: {typeName: hr, periodInterval: 60, codes: [{code: 8867-4, system: 'http://loinc.org', display: Heart rate}], value: {valueType: Quantity, unit: count/min, valueName: hr}}}]}";

fn build(connector: &IoTConnector, world: &World) -> Children {
    children(&decide(connector, world), world).unwrap()
}

fn all(built: &Children) -> String {
    let Children {
        service_account,
        network_policy,
        settings,
        mapping,
        keys,
        missing_keys: _,
        volume_claim,
        disruption_budget,
        service,
        stateful_set,
    } = built;
    assert_eq!(*disruption_budget, None, "one replica");
    documents([
        json(service_account),
        json(network_policy),
        json(settings),
        json(mapping),
        json(keys),
        json(volume_claim),
        json(service),
        json(stateful_set),
    ])
}

fn serving_world() -> World {
    World {
        stateful_set: Some(Arc::new(yaml(
            "metadata: {name: vitals-iot, generation: 1, annotations: {fhir-operator.dev/release: 0.2.0, fhir-operator.dev/revision: '1'}}
spec: {selector: {}, template: {spec: {containers: [{name: iot-connector, image: 'registry.example.org/fhir:0.2.0'}]}}}
status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1}",
        ))),
        pods: vec![Arc::new(yaml(
            "metadata: {name: vitals-iot-0, labels: {app.kubernetes.io/name: iot-connector, app.kubernetes.io/instance: vitals}}\nstatus: {conditions: [{type: Ready, status: 'True'}]}",
        ))],
        volume_claim: Some(Arc::new(yaml(
            "metadata: {name: vitals-iot-data, labels: {fhir-operator.dev/owner-uid: uid-vitals}}\nspec: {resources: {requests: {storage: 5Gi}}}\nstatus: {phase: Bound}",
        ))),
        ..connector_world()
    }
}

fn reason_of(connector: &IoTConnector, world: &World, condition: ConditionType) -> Option<String> {
    let said = status(connector, &decide(connector, world), world);
    find(&said.conditions, condition).map(|found| found.reason.clone())
}

#[test]
fn a_plain_connector() {
    insta::assert_snapshot!(all(&build(&connector(MAPPED), &connector_world())));
}

#[test]
fn a_collector_is_told_beside_the_settings_and_restarts_nothing() {
    let built = |world: &World| build(&connector(MAPPED), world);
    let (mut world, collector) = (connector_world(), collector());
    let before = built(&world);
    world.installation = Arc::new(Installation {
        collector,
        ..(*world.installation).clone()
    });
    let after = built(&world);
    assert_eq!(after.stateful_set, before.stateful_set);
    let mut data = after.settings.data.unwrap();
    assert_eq!(
        data.remove("settings.json"),
        before.settings.data.unwrap().remove("settings.json")
    );
    insta::assert_snapshot!(json(&data));
}

#[test]
fn a_connector_with_everything() {
    let spec = format!(
        "{MAPPED}, identityResolution: Create, deviceIdentifierSystem: 'urn:devices', patientIdentifierSystem: 'urn:patients', connections: [{{name: ward}}, {{name: home, keyGeneration: 3}}], authentication: {{issuers: [{{authority: 'https://login.example.org', audience: vitals}}, {{authority: 'https://keycloak.example.org/realms/ward', audience: vitals, deviceClaim: azp, caBundle: {{configMap: trust, key: ca.crt}}}}]}}, capacity: {{messagesPerSecond: 4000}}, window: {{flushSeconds: 60, maxEvents: 100}}, deadLetters: {{maxCount: 500, maxDays: 30}}, trace: {{keep: 0}}, compatibility: upstream, deletionPolicy: Delete, source: {{embedded: {{storage: 50Gi, storageClassName: fast}}}}, suspend: true"
    );
    let built = build(&connector(&spec), &connector_world());
    let secrets: Vec<&str> = built.missing_keys.iter().map(|key| key.secret_name.as_str()).collect();
    assert_eq!(secrets, ["vitals-iot-home.3", "vitals-iot-ward"]);
    insta::assert_snapshot!(all(&built));
}

#[test]
fn the_bounds_of_a_small_volume_are_its_parts() {
    let spec = format!("{MAPPED}, source: {{embedded: {{storage: 512Mi}}}}");
    let built = build(&connector(&spec), &connector_world());
    let settings: serde_json::Value = serde_json::from_str(&built.settings.data.unwrap()["settings.json"]).unwrap();
    let parts = ["spool", "deadLetters", "trace"].map(|part| settings[part].clone());
    insta::assert_snapshot!(documents(parts));
}

#[rstest]
#[case::mqtt(
    "{mqtt: {address: 'mqtts://broker.example', version: '3.1.1', topics: ['devices/+/readings'], deviceLevel: 2, secretName: broker}}"
)]
#[case::nats("{nats: {servers: ['nats://nats.example'], stream: DEVICES, subjects: ['devices.>'], deviceToken: 2}}")]
#[case::kafka(
    "{kafka: {brokers: ['hubs.example:9093'], topics: [devices], tls: true, mechanism: SCRAM-SHA-512, deviceKey: true, secretName: hubs}}"
)]
#[case::http("{http: {shared: {nats: {servers: ['nats://nats.example'], secretName: nats}}}}")]
#[case::kafka_shared(
    "{kafka: {brokers: ['b.example:9092'], topics: [devices], secretName: hubs, shared: {replicas: 3, copies: 3, nats: {servers: ['tls://nats.example'], secretName: nats}}}}"
)]
fn a_connector_with_a_source(#[case] source: &str) {
    let connector = connector(&format!("{MAPPED}, source: {source}"));
    let built = build(&connector, &connector_world());
    let kind = source.trim_start_matches('{').split(':').next().unwrap();
    let kind = if source.contains("shared") {
        format!("{kind}_shared")
    } else {
        kind.to_owned()
    };
    insta::assert_snapshot!(
        format!("a_connector_with_{kind}"),
        documents([json(&built.settings), json(&built.stateful_set)])
    );
}

const OF_SHARED: &str =
    "source: {nats: {servers: ['nats://nats.example'], stream: DEVICES, shared: {replicas: 3, copies: 3}}}";

#[test]
fn replicas_that_share_the_work_have_streams_instead_of_a_volume() {
    let connector = connector(&format!("{MAPPED}, {OF_SHARED}"));
    let mut world = connector_world();
    let built = build(&connector, &world);
    assert_eq!(built.volume_claim, None);
    insta::assert_snapshot!(documents([
        json(&built.settings),
        json(&built.disruption_budget),
        json(&built.stateful_set)
    ]));

    // Whatever volume has the name of one, none is waited for; and all replicas have to be ready.
    let workload = || reason_of(&connector, &world, ConditionType::WorkloadReady);
    let pod = |number: u32, ready: &str| {
        Arc::new(yaml(&format!(
            "metadata: {{name: vitals-iot-{number}, labels: {{app.kubernetes.io/name: iot-connector, app.kubernetes.io/instance: vitals}}}}\nstatus: {{conditions: [{{type: Ready, status: '{ready}'}}]}}"
        )))
    };
    assert_eq!(workload().as_deref(), Some("Progressing"));
    world.stateful_set = Some(Arc::new(yaml(
        "metadata: {name: vitals-iot, generation: 1}\nspec: {replicas: 3, selector: {}, template: {}}\nstatus: {observedGeneration: 1, replicas: 3, updatedReplicas: 3}",
    )));
    world.pods = vec![pod(0, "True"), pod(1, "True"), pod(2, "False")];
    let told = |world: &World| {
        let said = status(&connector, &decide(&connector, world), world);
        find(&said.conditions, ConditionType::WorkloadReady).map(|found| found.message.clone())
    };
    assert_eq!(
        told(&world).as_deref(),
        Some("2 of 3 pods ready; pod `vitals-iot-2` is starting")
    );
    world.pods[2] = pod(2, "True");
    assert_eq!(told(&world).as_deref(), Some("3 of 3 pods ready"));
    world.page = Some(StatusPage {
        source: Some(SourceStatus {
            kind: "nats".to_owned(),
            state: SourceState::Connected,
            message: None,
        }),
        ..page(0.0, 0, "2026-01-01T11:59:00Z")
    });
    assert_eq!(
        reason_of(&connector, &world, ConditionType::SourceReady).as_deref(),
        Some("Connected")
    );
}

#[test]
fn http_by_replicas_is_ready_when_its_streams_are() {
    let connector = connector(&format!(
        "{MAPPED}, source: {{http: {{shared: {{nats: {{servers: ['nats://nats.example']}}}}}}}}"
    ));
    let mut world = connector_world();
    let told = |world: &World| {
        let said = status(&connector, &decide(&connector, world), world);
        let found = find(&said.conditions, ConditionType::SourceReady).unwrap();
        format!("{} {}: {}", found.status, found.reason, found.message)
    };
    assert_eq!(
        told(&world),
        "False NotConnected: the connector hasn't told yet whether the stream of messages is connected"
    );
    let mut tell = |state, message: Option<&str>| {
        world.page = Some(StatusPage {
            source: Some(SourceStatus {
                kind: "http".to_owned(),
                state,
                message: message.map(str::to_owned),
            }),
            ..page(0.0, 0, "2026-01-01T11:59:00Z")
        });
        told(&world)
    };
    assert_eq!(
        tell(SourceState::Connecting, Some("refused")),
        "False NotConnected: stream of messages: refused"
    );
    assert_eq!(
        tell(SourceState::Connected, None),
        "True Connected: the stream of messages is read"
    );
    world.page = world.page.map(|page| StatusPage {
        mappings: MappingState::Missing,
        ingest_refused: Some("there are no mappings".to_owned()),
        ..page
    });
    assert_eq!(
        told(&world),
        "False IngestRefused: messages are refused: there are no mappings; they are taken as soon as both mappings are valid"
    );
}

#[test]
fn streams_are_not_the_operators_to_delete() {
    let connector = connector(&format!("{MAPPED}, {OF_SHARED}, deletionPolicy: Delete"));
    let world = connector_world();
    let said = status(&connector, &decide(&connector, &world), &world);
    let ready = find(&said.conditions, ConditionType::Ready).unwrap();
    assert_eq!(
        (ready.reason.as_str(), ready.message.as_str()),
        (
            "NotSupported",
            "this release doesn't act on `spec.deletionPolicy Delete with shared work`: remove it"
        )
    );
}

/// What the API takes, the connector takes: it wouldn't start otherwise.
#[rstest]
#[case::capacity("capacity", "messagesPerSecond")]
#[case::seconds("window", "flushSeconds")]
#[case::events("window", "maxEvents")]
#[case::dead_letters("deadLetters", "maxCount")]
#[case::days("deadLetters", "maxDays")]
#[case::traces("trace", "keep")]
fn a_connector_starts_at_the_bounds_of_the_api(#[case] member: &str, #[case] number: &str) {
    let api = json(&IoTConnector::crd());
    let pointer =
        format!("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/{member}/properties/{number}");
    for bound in ["minimum", "maximum"] {
        let bound = &api.pointer(&pointer).unwrap()[bound];
        let bound = bound.as_f64().unwrap();
        let connector = connector(&format!("{MAPPED}, {member}: {{{number}: {bound}}}"));
        let built = build(&connector, &connector_world());
        let text = &built.settings.data.unwrap()["settings.json"];
        let settings: Settings = serde_json::from_str(text).unwrap();
        assert_eq!(settings.validate(), Ok(()), "{member}.{number}: {bound}");
    }
}

const OF_BROKER: &str = "source: {mqtt: {address: 'mqtt://broker.example', topics: [devices]}}";

#[rstest]
#[case::nothing_heard(None, None, "NotConnected", "NotConnected")]
#[case::nothing_heard_lately(None, Some(("True", "Connected")), "Connected", "Ingesting")]
#[case::connecting(Some((SourceState::Connecting, None)), None, "NotConnected", "NotConnected")]
#[case::refused(Some((SourceState::Connecting, Some("NotAuthorized"))), Some(("True", "Connected")), "NotConnected", "NotConnected")]
#[case::connected(Some((SourceState::Connected, None)), Some(("False", "NotConnected")), "Connected", "Ingesting")]
#[case::full(Some((SourceState::Waiting, Some("the queue is full"))), None, "Connected", "Ingesting")]
fn a_source_has_to_be_connected(
    #[case] told: Option<(SourceState, Option<&str>)>,
    #[case] said: Option<(&str, &str)>,
    #[case] source_ready: &str,
    #[case] ready: &str,
) {
    let mut connector = connector(&format!("{MAPPED}, {OF_BROKER}"));
    if let (Some((status, reason)), Some(told)) = (said, &mut connector.status) {
        told.conditions.push(yaml(&format!(
            "{{type: SourceReady, status: '{status}', reason: {reason}, message: as before, lastTransitionTime: '2026-01-01T00:00:00Z'}}"
        )));
    }
    let mut world = serving_world();
    world.page = told.map(|(state, message)| StatusPage {
        source: Some(SourceStatus {
            kind: "mqtt".to_owned(),
            state,
            message: message.map(str::to_owned),
        }),
        ..page(0.0, 0, "2026-01-01T11:59:00Z")
    });
    let reason = |condition| reason_of(&connector, &world, condition);
    assert_eq!(reason(ConditionType::SourceReady).as_deref(), Some(source_ready));
    assert_eq!(reason(ConditionType::Ready).as_deref(), Some(ready));
    // without a volume nothing is read, whatever was heard last
    world.volume_claim = None;
    assert_eq!(
        reason_of(&connector, &world, ConditionType::SourceReady).as_deref(),
        Some("VolumePending")
    );
}

/// A page at noon; `change` makes it worse.
fn ill_page(change: fn(&mut StatusPage)) -> StatusPage {
    let mut page = page(0.0, 3, "2026-01-01T11:50:00Z");
    change(&mut page);
    page
}

fn waiting_since(page: &mut StatusPage, since: &str) {
    page.fhir = FhirState::Waiting;
    page.fhir_message = Some("the FHIR server answers 403: no role".to_owned());
    page.watermark = Some(since.to_owned());
}

fn full(page: &mut StatusPage) {
    page.ingest_refused = Some("100000 dead letters are kept, the most allowed".to_owned());
}

/// The page is read at 12:00:00, and readings are written after 5 seconds.
#[rstest]
#[case::well(|_: &mut StatusPage| {}, "Ingesting Serving Bound Valid")]
#[case::full(full, "IngestRefused Serving IngestRefused Valid")]
#[case::refused_for_long(|page: &mut StatusPage| waiting_since(page, "2026-01-01T11:57:54Z"), "WritesWaiting WritesWaiting Bound Valid")]
#[case::refused_for_a_moment(|page: &mut StatusPage| waiting_since(page, "2026-01-01T11:57:55Z"), "Ingesting Serving Bound Valid")]
#[case::nothing_waits(|page: &mut StatusPage| { waiting_since(page, ""); page.watermark = None; }, "Ingesting Serving Bound Valid")]
#[case::catching_up(|page: &mut StatusPage| page.watermark = Some("2026-01-01T09:00:00Z".to_owned()), "Ingesting Serving Bound Valid")]
#[case::full_since_refused(|page: &mut StatusPage| { waiting_since(page, "2026-01-01T09:00:00Z"); full(page); }, "WritesWaiting WritesWaiting IngestRefused Valid")]
#[case::bad_mapping(|page: &mut StatusPage| page.mappings = MappingState::Invalid, "Ingesting Serving Bound MappingInvalid")]
#[case::mapping_on_its_way(|page: &mut StatusPage| page.mappings = MappingState::Missing, "Ingesting Serving Bound Valid")]
#[case::no_mapping(|page: &mut StatusPage| { page.mappings = MappingState::Missing; page.watermark = Some("2026-01-01T11:00:00Z".to_owned()); }, "Ingesting Serving Bound MappingMissing")]
fn what_a_connector_suffers_from_is_told(#[case] change: fn(&mut StatusPage), #[case] reasons: &str) {
    let mut world = serving_world();
    world.page = Some(ill_page(change));
    assert_eq!(reasons_of(&connector(MAPPED), &world), reasons);
}

/// Reasons of `Ready`, `FhirServiceReady`, `SourceReady` and `MappingsValid`.
fn reasons_of(connector: &IoTConnector, world: &World) -> String {
    let conditions = [
        ConditionType::Ready,
        ConditionType::FhirServiceReady,
        ConditionType::SourceReady,
        ConditionType::MappingsValid,
    ];
    conditions
        .map(|condition| reason_of(connector, world, condition).unwrap_or_default())
        .join(" ")
}

#[test]
fn a_longer_window_is_no_trouble() {
    let mut world = serving_world();
    world.page = Some(ill_page(|page| waiting_since(page, "2026-01-01T11:44:00Z")));
    let patient = connector(&format!("{MAPPED}, window: {{flushSeconds: 900}}"));
    assert_eq!(reasons_of(&patient, &world), "Ingesting Serving Bound Valid");
}

#[test]
fn what_the_connector_said_of_itself_stands_while_it_is_silent() {
    let mut world = serving_world();
    let mut connector = connector(MAPPED);
    world.page = Some(ill_page(|page| {
        waiting_since(page, "2026-01-01T09:00:00Z");
        full(page);
    }));
    let said = status(&connector, &decide(&connector, &world), &world).conditions;
    insta::assert_snapshot!(lines(&said));
    connector.status.as_mut().unwrap().conditions.extend(said.clone());
    world.page = None;
    assert_eq!(
        lines(&status(&connector, &decide(&connector, &world), &world).conditions),
        lines(&said)
    );
    world.page = Some(ill_page(|_| {}));
    assert_eq!(reasons_of(&connector, &world), "Ingesting Serving Bound Valid");
    // What doesn't run can't be full.
    connector.spec.suspend = Some(true);
    world.page = None;
    assert_eq!(reasons_of(&connector, &world), "Suspended Serving Bound Valid");
}

/// A volume that isn't there, a broker that isn't connected, and a service that doesn't run come first.
#[test]
fn causes_come_before_what_they_cause() {
    let mut world = serving_world();
    world.page = Some(ill_page(|page| {
        waiting_since(page, "2026-01-01T09:00:00Z");
        full(page);
        page.source = Some(SourceStatus {
            kind: "mqtt".to_owned(),
            state: SourceState::Connecting,
            message: None,
        });
    }));
    let of_broker = connector(&format!("{MAPPED}, {OF_BROKER}"));
    world.service = None;
    assert_eq!(
        reasons_of(&of_broker, &world),
        "FhirServiceNotFound FhirServiceNotFound NotConnected Valid"
    );
    world.volume_claim = None;
    assert_eq!(
        reason_of(&connector(MAPPED), &world, ConditionType::SourceReady).as_deref(),
        Some("VolumePending")
    );
}

/// A source without a stream that replicas could share has one, and people are told.
#[rstest]
#[case::embedded("", None, "volume of 5Gi; one replica runs, whose spool it is")]
#[case::mqtt(
    OF_BROKER,
    Some(SourceState::Connected),
    "the MQTT broker is read by one replica, whose spool is its own"
)]
#[case::mqtt_full(
    OF_BROKER,
    Some(SourceState::Waiting),
    "the MQTT broker keeps its messages: the queue is full; one replica reads it, whose spool is its own"
)]
#[case::nats(
    "source: {nats: {servers: ['nats://nats.example'], stream: DEVICES}}",
    Some(SourceState::Connected),
    "the NATS stream is read by one replica, whose spool is its own"
)]
#[case::shared_full(
    OF_SHARED,
    Some(SourceState::Waiting),
    "the NATS stream keeps its messages: the queue is full"
)]
fn one_replica_is_told_of(#[case] source: &str, #[case] state: Option<SourceState>, #[case] message: &str) {
    let mut world = serving_world();
    world.page = Some(StatusPage {
        source: state.map(|state| SourceStatus {
            kind: String::new(),
            state,
            message: None,
        }),
        ..page(0.0, 0, "2026-01-01T11:59:00Z")
    });
    let connector = connector(&format!("{MAPPED}, {source}"));
    let said = status(&connector, &decide(&connector, &world), &world);
    let found = find(&said.conditions, ConditionType::SourceReady).unwrap();
    assert_eq!(found.message, message);
}

#[test]
fn an_ingesting_connector() {
    let mut world = serving_world();
    let connector = connector(MAPPED);
    let built = build(&connector, &world);
    let mut list = KeyList::default();
    list.propose(&built.missing_keys[0], "ab");
    list.confirm(&built.missing_keys[0], "ab", world.now);
    let owner = fhir_operator_core::names::Owner::connector(&connector);
    world.keys = Some(Arc::new(list.config_map(&owner, &built.missing_keys)));
    world.page = Some(page(12.4, 3, "2026-01-01T11:59:00Z"));
    let said = status(&connector, &decide(&connector, &world), &world);
    insta::assert_snapshot!(serde_yaml::to_string(&said).unwrap());
    assert!(build(&connector, &world).missing_keys.is_empty());
}

fn page(rate: f64, backlog: u64, last: &str) -> StatusPage {
    StatusPage {
        version: "0.2.0".to_owned(),
        last_message_time: Some(last.to_owned()),
        rate,
        backlog,
        dead_letters: 0,
        watermark: None,
        mappings: MappingState::Valid,
        mapping_message: None,
        fhir: FhirState::Reachable,
        fhir_message: None,
        source: None,
        sharing: None,
        ingest_refused: None,
    }
}

#[test]
fn figures_change_once_a_minute_and_never_at_rest() {
    let mut world = serving_world();
    let mut connector = connector(MAPPED);
    let mut look = |connector: &mut IoTConnector, now: &str, page: StatusPage| {
        world.now = at(now);
        world.page = Some(page);
        let mut said = status(connector, &decide(connector, &world), &world);
        said.conditions.extend(
            connector
                .status
                .iter()
                .flat_map(|old| old.conditions.iter())
                .find(|one| one.type_ == "Admitted")
                .cloned(),
        );
        let changed = connector.status.as_ref() != Some(&said);
        connector.status = Some(said.clone());
        (changed, said.rate.unwrap(), said.backlog.unwrap())
    };
    let first = page(12.0, 0, "2026-01-01T12:00:00Z");
    assert_eq!(
        look(&mut connector, "2026-01-01T12:00:00Z", first),
        (true, "12/s".to_owned(), 0)
    );
    let second = page(50.0, 9, "2026-01-01T12:00:30Z");
    assert_eq!(
        look(&mut connector, "2026-01-01T12:00:30Z", second.clone()),
        (false, "12/s".to_owned(), 0)
    );
    assert_eq!(
        look(&mut connector, "2026-01-01T12:01:00Z", second.clone()),
        (true, "50/s".to_owned(), 9)
    );
    assert_eq!(
        look(&mut connector, "2026-01-01T12:05:00Z", second),
        (false, "50/s".to_owned(), 9)
    );
}

#[rstest]
#[case::ingests(|_: &mut World| {}, "Ingesting")]
#[case::service_gone(|world: &mut World| world.service = None, "FhirServiceNotFound")]
#[case::service_going(|world: &mut World| world.service = Some(Arc::new(deleted())), "FhirServiceNotFound")]
#[case::service_without_place(|world: &mut World| world.service = Some(Arc::new(without_place())), "FhirServiceNotAdmitted")]
#[case::service_not_serving(|world: &mut World| world.service = Some(Arc::new(service(crate::fixture::R4))), "FhirServiceNotReady")]
#[case::service_is_stu3(|world: &mut World| world.service = Some(Arc::new(service("fhirVersion: STU3, authentication: {serviceAccounts: true}"))), "FhirVersionNotSupported")]
#[case::starting(|world: &mut World| world.pods.clear(), "Progressing")]
fn readiness(#[case] change: fn(&mut World), #[case] reason: &str) {
    let mut world = serving_world();
    change(&mut world);
    assert_eq!(
        reason_of(&connector(MAPPED), &world, ConditionType::Ready).as_deref(),
        Some(reason)
    );
    // whatever becomes of the service, the connector keeps taking messages
    assert!(children(&decide(&connector(MAPPED), &world), &world).is_some());
}

fn deleted() -> fhir_operator_core::api::FhirService {
    let mut service = crate::fixture::serving();
    service.metadata.deletion_timestamp = service.metadata.creation_timestamp.clone();
    service
}

fn without_place() -> fhir_operator_core::api::FhirService {
    let mut service = crate::fixture::serving();
    service.status = None;
    service
}

#[rstest]
#[case::managed("source: {managed: {}}")]
#[case::host("networking: {host: iot.example.org}")]
#[case::small_volume("source: {embedded: {storage: 100Mi}}")]
#[case::no_port("source: {mqtt: {address: 'mqtt://broker:port', topics: [devices]}}")]
#[case::no_such_port("source: {kafka: {brokers: ['b:99999'], topics: [devices]}}")]
#[case::no_subject("source: {nats: {servers: ['nats://:4222'], stream: DEVICES}}")]
fn what_is_not_supported_is_refused(#[case] spec: &str) {
    let connector = connector(spec);
    assert_eq!(
        reason_of(&connector, &serving_world(), ConditionType::Ready).as_deref(),
        Some("NotSupported")
    );
    assert_eq!(children(&decide(&connector, &serving_world()), &serving_world()), None);
}

const BY_REFERENCE: &str = "deviceMapping: {configMap: maps, key: device}, fhirMapping: {configMap: maps, key: fhir}";

fn with_maps(data: &str) -> World {
    World {
        mappings: [("maps".to_owned(), Arc::new(yaml(&format!("data: {data}"))))].into(),
        ..serving_world()
    }
}

const GOOD: &str = r#"{device: '{"templateType":"CollectionContent","template":[]}', fhir: '{"templateType":"CollectionFhir","template":[]}'}"#;
const BAD: &str = r#"{device: '{"templateType":"CollectionFhir","template":[]}', fhir: '{"templateType":"CollectionFhir","template":[]}'}"#;

#[rstest]
#[case::nothing_named("", serving_world(), "MappingMissing")]
#[case::no_config_map(BY_REFERENCE, serving_world(), "MappingMissing")]
#[case::no_key(BY_REFERENCE, with_maps("{other: x}"), "MappingMissing")]
#[case::valid(BY_REFERENCE, with_maps(GOOD), "Valid")]
#[case::swapped(BY_REFERENCE, with_maps(BAD), "MappingInvalid")]
#[case::not_json(BY_REFERENCE, with_maps("{device: '{', fhir: '{'}"), "MappingInvalid")]
fn mappings_are_judged(#[case] spec: &str, #[case] world: World, #[case] reason: &str) {
    let connector = connector(spec);
    assert_eq!(
        reason_of(&connector, &world, ConditionType::MappingsValid).as_deref(),
        Some(reason)
    );
    assert_eq!(
        reason_of(&connector, &world, ConditionType::Ready).as_deref(),
        Some("Ingesting")
    );
}

#[test]
fn a_bad_mapping_never_replaces_the_last_valid_pair() {
    let connector = connector(BY_REFERENCE);
    let first = build(&connector, &with_maps(GOOD)).mapping.unwrap();
    let mut world = with_maps(BAD);
    assert_eq!(build(&connector, &world).mapping, None);
    world.kept_mapping = Some(Arc::new(first.clone()));
    assert_eq!(build(&connector, &world).mapping, Some(first));
    insta::assert_snapshot!(lines(
        &status(&connector, &decide(&connector, &world), &world).conditions
    ));
}

#[test]
fn a_retained_spool_is_taken_over_for_the_same_service_only() {
    let spool = |service: &str| {
        Some(Arc::new(yaml(&format!(
            "metadata: {{name: vitals-iot-data, labels: {{fhir-operator.dev/owner-uid: earlier}}, annotations: {{fhir-operator.dev/service: {service}}}}}\nstatus: {{phase: Bound}}"
        ))))
    };
    let mut world = serving_world();
    world.volume_claim = spool("clinic");
    assert_eq!(
        reason_of(&connector(MAPPED), &world, ConditionType::Ready).as_deref(),
        Some("Ingesting")
    );
    world.volume_claim = spool("archive");
    assert_eq!(
        reason_of(&connector(MAPPED), &world, ConditionType::SourceReady).as_deref(),
        Some("DataExists")
    );
}
