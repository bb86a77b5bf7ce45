//! FhirServices: what is built and said for what is asked and observed.

use std::sync::Arc;

use fhir_operator_core::api::{ConditionType, FhirService, Reason};
use fhir_operator_core::conditions::find;
use fhir_operator_core::fhir_service::{
    ApplyRefusal, Children, Decision, Foreign, PolicyProbe, World, children, decide, probe_target, status,
};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use rstest::rstest;

use crate::fixture::{R4, connector, documents, json, lines, service, service_world, yaml};

fn build(service: &FhirService, world: &World) -> Children {
    children(&decide(service, world), world).unwrap()
}

fn all(built: &Children) -> String {
    let Children {
        service_account,
        network_policy,
        settings,
        access,
        volume_claim,
        service,
        stateful_set,
    } = built;
    documents([
        json(service_account),
        json(network_policy),
        json(settings),
        json(access),
        json(volume_claim),
        json(service),
        json(stateful_set),
    ])
}

fn bound(owner: &str, annotations: &str) -> Arc<PersistentVolumeClaim> {
    Arc::new(yaml(&format!(
        "metadata: {{name: clinic-fhir-data, namespace: ward-a, labels: {{fhir-operator.dev/owner-uid: {owner}}}, annotations: {{{annotations}}}}}\nspec: {{storageClassName: standard, resources: {{requests: {{storage: 10Gi}}}}}}\nstatus: {{phase: Bound, capacity: {{storage: 10Gi}}}}"
    )))
}

fn running(version: &str) -> Arc<StatefulSet> {
    Arc::new(yaml(&format!(
        "metadata: {{name: clinic-fhir, generation: 1, annotations: {{fhir-operator.dev/release: {version}, fhir-operator.dev/revision: '1'}}}}
spec: {{selector: {{}}, template: {{spec: {{containers: [{{name: fhir-server, image: 'registry.example.org/fhir:{version}'}}]}}}}}}
status: {{observedGeneration: 1, replicas: 1, updatedReplicas: 1}}"
    )))
}

fn pod(status: &str) -> Vec<Arc<Pod>> {
    vec![Arc::new(yaml(&format!(
        "metadata: {{name: clinic-fhir-0, labels: {{app.kubernetes.io/name: fhir-server, app.kubernetes.io/instance: clinic}}}}\nstatus: {status}"
    )))]
}

const READY_POD: &str = "{conditions: [{type: Ready, status: 'True'}]}";

/// A world in which the service runs as it should.
fn serving_world() -> World {
    World {
        stateful_set: Some(running("0.2.0")),
        pods: pod(READY_POD),
        volume_claim: Some(bound("uid-clinic", "fhir-operator.dev/schema: '2'")),
        ..service_world()
    }
}

fn ready(service: &FhirService, world: &World) -> (bool, Reason) {
    let status = status(service, &decide(service, world), world);
    let ready = find(&status.conditions, ConditionType::Ready).unwrap().clone();
    (ready.status == "True", Reason::from_name(&ready.reason).unwrap())
}

#[test]
fn a_plain_service() {
    insta::assert_snapshot!(all(&build(&service(R4), &service_world())));
}

#[test]
fn a_service_with_everything() {
    let spec = "fhirVersion: STU3
  , version: 0.1.0
  , resources: {requests: {cpu: 250m}, limits: {cpu: 1, memory: 2Gi}}
  , pod: {nodeSelector: {disk: fast}, priorityClassName: high, imagePullSecrets: [{name: pull}], labels: {team: a, app.kubernetes.io/name: mine}, annotations: {note: b}, tolerations: [{key: gpu, operator: Exists}]}
  , database: {sqlite: {storage: 20Gi, storageClassName: fast}}
  , deletionPolicy: Delete
  , authentication: {serviceAccounts: true, issuers: [{authority: 'https://login.example.org/realms/health', audience: 'https://clinic.example.org', caBundle: {configMap: authority, key: ca.pem}}]}
  , access: [{role: Contributor, subjects: [{claim: groups, value: clinicians}]}, {role: Reader, subjects: [{objectId: 1b2c}, {serviceAccount: reports}, {serviceAccount: research/batch}]}]
  , networking: {privateLink: {allowedNamespaces: {matchLabels: {clinic: friend}}}}
  , cors: {origins: ['https://app.example.org'], headers: ['*'], methods: [PUT, DELETE], maxAge: 600, allowCredentials: true}
  , limits: {count: 50, transactionBundles: false}
  , suspend: true";
    insta::assert_snapshot!(all(&build(&service(spec), &service_world())));
}

#[test]
fn connectors_are_let_in_by_name() {
    let world = World {
        connectors: vec![Arc::new(connector(""))],
        ..service_world()
    };
    let only_issuers = "fhirVersion: R4, authentication: {issuers: [{authority: 'https://login.example.org', audience: a}]}, access: [{role: Reader, subjects: [{serviceAccount: ignored}]}]";
    let built = build(&service(only_issuers), &world);
    insta::assert_snapshot!(built.access.data.unwrap()["access.json"]);
}

#[test]
fn an_anonymous_service_has_no_issuers() {
    let built = build(
        &service("fhirVersion: R4, authentication: {anonymous: true}"),
        &service_world(),
    );
    insta::assert_snapshot!(built.settings.data.unwrap()["settings.json"]);
    assert!(!built.access.data.unwrap().contains_key("cluster-jwks.json"));
}

#[rstest]
#[case::open("", "[]")]
#[case::disabled("networking: {publicNetworkAccess: Disabled}", r#"[{"podSelector":{}}]"#)]
#[case::linked(
    "networking: {privateLink: {allowedNamespaces: {matchLabels: {a: b}}}}",
    r#"[{"namespaceSelector":{"matchLabels":{"a":"b"}}}]"#
)]
#[case::linked_is_narrower_than_disabled(
    "networking: {publicNetworkAccess: Disabled, privateLink: {allowedNamespaces: {matchLabels: {a: b}}}}",
    r#"[{"namespaceSelector":{"matchLabels":{"a":"b"}}}]"#
)]
fn who_reaches_the_api(#[case] networking: &str, #[case] from: &str) {
    let built = build(&service(&format!("{R4}, {networking}")), &service_world());
    let rules = built.network_policy.spec.unwrap().ingress.unwrap();
    assert_eq!(
        serde_json::to_string(&rules[0].from.clone().unwrap_or_default()).unwrap(),
        from
    );
}

#[test]
fn a_new_operator_changes_no_template_outside_the_window() {
    let mut world = serving_world();
    world.stateful_set = Some(running("0.1.0"));
    world.volume_claim = Some(bound("uid-clinic", "fhir-operator.dev/schema: '1'"));
    let built = build(&service(R4), &world);
    let container = &built.stateful_set.spec.unwrap().template.spec.unwrap().containers[0];
    assert_eq!(container.image.as_deref(), Some("registry.example.org/fhir:0.1.0"));
    assert_eq!(
        built.volume_claim.metadata.annotations.unwrap()["fhir-operator.dev/schema"],
        "1"
    );

    let said = status(&service(R4), &decide(&service(R4), &world), &world);
    assert_eq!(said.available_version.as_deref(), Some("0.2.0"));
    insta::assert_snapshot!(lines(&said.conditions));
}

#[test]
fn a_collector_is_told_beside_the_settings_and_restarts_nothing() {
    let mut world = serving_world();
    let before = build(&service(R4), &world);
    world.installation = std::sync::Arc::new(fhir_operator_core::Installation {
        collector: crate::fixture::collector(),
        ..(*world.installation).clone()
    });
    let after = build(&service(R4), &world);
    assert_eq!(after.stateful_set, before.stateful_set);
    let data = after.settings.data.unwrap();
    assert!(data["otlp.json"].contains("clinic-fhir"), "{data:?}");
    assert_eq!(data["settings.json"], before.settings.data.unwrap()["settings.json"]);
}

#[test]
fn the_schema_is_annotated_before_a_newer_release_starts() {
    let mut world = serving_world();
    world.stateful_set = Some(running("0.1.0"));
    world.volume_claim = Some(bound("uid-clinic", "fhir-operator.dev/schema: '1'"));
    world.now = crate::fixture::at(crate::fixture::IN_WINDOW);
    let built = build(&service(R4), &world);
    assert_eq!(
        built.volume_claim.metadata.annotations.unwrap()["fhir-operator.dev/schema"],
        "2"
    );
    assert_eq!(
        built.stateful_set.metadata.annotations.unwrap()["fhir-operator.dev/release"],
        "0.2.0"
    );
}

#[test]
fn a_serving_service() {
    let said = status(&service(R4), &decide(&service(R4), &serving_world()), &serving_world());
    insta::assert_snapshot!(serde_yaml::to_string(&said).unwrap());
}

#[rstest]
#[case::serves(R4, |_: &mut World| {}, true, Reason::Serving)]
#[case::no_pod(R4, |world: &mut World| world.pods.clear(), false, Reason::Progressing)]
#[case::nothing_yet(R4, |world: &mut World| { world.stateful_set = None; world.pods.clear(); world.volume_claim = None; }, false, Reason::VolumePending)]
#[case::unschedulable(R4, |world: &mut World| { world.volume_claim = None; world.pods = pod("{conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: 0/1 nodes}]}"); }, false, Reason::Unschedulable)]
#[case::image(R4, |world: &mut World| world.pods = pod("{containerStatuses: [{name: a, image: b, imageID: c, ready: false, restartCount: 0, state: {waiting: {reason: ErrImagePull, message: no}}}]}"), false, Reason::ImagePullFailed)]
#[case::crashes(R4, |world: &mut World| world.pods = pod("{containerStatuses: [{name: a, image: b, imageID: c, ready: false, restartCount: 4, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, message: 'error: the database is locked'}}}]}"), false, Reason::CrashLooping)]
#[case::misses_config(R4, |world: &mut World| world.pods = pod("{containerStatuses: [{name: a, image: b, imageID: c, ready: false, restartCount: 0, state: {waiting: {reason: CreateContainerConfigError, message: secret gone}}}]}"), false, Reason::SecretMissing)]
#[case::suspended("fhirVersion: R4, authentication: {serviceAccounts: true}, suspend: true", |world: &mut World| world.pods.clear(), false, Reason::Suspended)]
#[case::not_supported("fhirVersion: R4, authentication: {serviceAccounts: true}, autoscaling: {minReplicas: 1, maxReplicas: 2, targetCPUUtilization: 50}", |_: &mut World| {}, false, Reason::NotSupported)]
#[case::role_not_supported("fhirVersion: R4, authentication: {serviceAccounts: true}, access: [{role: Exporter, subjects: [{objectId: a}]}]", |_: &mut World| {}, false, Reason::NotSupported)]
#[case::unknown_release("fhirVersion: R4, authentication: {serviceAccounts: true}, version: 9.9.9", |_: &mut World| {}, false, Reason::NotSupported)]
#[case::unknown_zone("fhirVersion: R4, authentication: {serviceAccounts: true}, maintenanceWindow: {start: '02:00', timeZone: Mars}", |_: &mut World| {}, false, Reason::NotSupported)]
#[case::name_taken(R4, |world: &mut World| world.foreign = vec![Foreign { kind: "Service".to_owned(), name: "clinic".to_owned() }], false, Reason::NameTaken)]
#[case::retained_data(R4, |world: &mut World| world.volume_claim = Some(bound("uid-earlier", "fhir-operator.dev/fhir-version: R4")), false, Reason::DataExists)]
#[case::adopted_data("fhirVersion: R4, authentication: {serviceAccounts: true}, adoptExisting: true", |world: &mut World| world.volume_claim = Some(bound("uid-earlier", "fhir-operator.dev/fhir-version: R4")), true, Reason::Serving)]
#[case::data_of_another_version("fhirVersion: R4, authentication: {serviceAccounts: true}, adoptExisting: true", |world: &mut World| world.volume_claim = Some(bound("uid-earlier", "fhir-operator.dev/fhir-version: STU3")), false, Reason::DataExists)]
#[case::resize_refused("fhirVersion: R4, authentication: {serviceAccounts: true}, database: {sqlite: {storage: 20Gi}}", |world: &mut World| world.refused = vec![ApplyRefusal { kind: "PersistentVolumeClaim".to_owned(), name: String::new(), message: "only dynamically provisioned".to_owned() }], false, Reason::ResizeRefused)]
#[case::linked("fhirVersion: R4, authentication: {serviceAccounts: true}, networking: {privateLink: {allowedNamespaces: {matchLabels: {a: b}}}}", |_: &mut World| {}, true, Reason::Serving)]
#[case::link_refused("fhirVersion: R4, authentication: {serviceAccounts: true}, networking: {privateLink: {allowedNamespaces: {matchLabels: {a: b}}}}", |world: &mut World| world.connectors = vec![Arc::new(connector(""))], false, Reason::IotConnectorInstalled)]
#[case::link_not_enforced("fhirVersion: R4, authentication: {serviceAccounts: true}, networking: {privateLink: {allowedNamespaces: {matchLabels: {a: b}}}}", |world: &mut World| world.probe = Some(PolicyProbe::Connected), false, Reason::PolicyNotEnforced)]
#[case::other_policy("fhirVersion: R4, authentication: {serviceAccounts: true}, networking: {privateLink: {allowedNamespaces: {matchLabels: {a: b}}}}", |world: &mut World| world.network_policies = vec![Arc::new(yaml("metadata: {name: all}\nspec: {podSelector: {}, ingress: [{}]}"))], false, Reason::OtherPolicyOpens)]
#[case::other_pods("fhirVersion: R4, authentication: {serviceAccounts: true}, networking: {privateLink: {allowedNamespaces: {matchLabels: {a: b}}}}", |world: &mut World| world.network_policies = vec![Arc::new(yaml("metadata: {name: web}\nspec: {podSelector: {matchLabels: {app: web}}, ingress: [{}]}"))], true, Reason::Serving)]
fn readiness(#[case] spec: &str, #[case] change: fn(&mut World), #[case] is_ready: bool, #[case] reason: Reason) {
    let mut world = serving_world();
    change(&mut world);
    assert_eq!(ready(&service(spec), &world), (is_ready, reason));
}

#[test]
fn nothing_is_built_without_a_place() {
    let mut waiting = service(R4);
    waiting.status = None;
    let decision = decide(&waiting, &service_world());
    assert!(matches!(&decision, Decision::Hold(refusal) if refusal.reason == Reason::Progressing));
    assert_eq!(children(&decision, &service_world()), None);
}

#[test]
fn a_refused_link_leaves_the_service_open_and_says_what_to_change() {
    let mut world = serving_world();
    world.connectors = vec![Arc::new(connector(""))];
    let linked = service(&format!(
        "{R4}, networking: {{privateLink: {{allowedNamespaces: {{matchLabels: {{a: b}}}}}}}}"
    ));
    let built = build(&linked, &world);
    assert_eq!(built.network_policy.spec.unwrap().ingress.unwrap()[0].from, None);
    insta::assert_snapshot!(lines(&status(&linked, &decide(&linked, &world), &world).conditions));
}

#[test]
fn pausing_is_said() {
    let mut paused = service(R4);
    paused.metadata.annotations = Some([("fhir-operator.dev/paused".to_owned(), "true".to_owned())].into());
    let said = status(&paused, &decide(&paused, &serving_world()), &serving_world());
    assert!(find(&said.conditions, ConditionType::Paused).is_some_and(|condition| condition.status == "True"));
    assert!(find(&said.conditions, ConditionType::Ready).is_some_and(|condition| condition.status == "True"));
}

#[test]
fn enforcement_is_tried_from_where_it_proves_something() {
    let linked = service(&format!(
        "{R4}, networking: {{privateLink: {{allowedNamespaces: {{matchLabels: {{a: b}}}}}}}}"
    ));
    let decision = decide(&linked, &service_world());
    let target = Some(("clinic.ward-a.svc".to_owned(), 80));
    assert_eq!(
        probe_target(&decision, &[("a".to_owned(), "c".to_owned())].into()),
        target
    );
    assert_eq!(
        probe_target(&decision, &[("a".to_owned(), "b".to_owned())].into()),
        None
    );
    assert_eq!(probe_target(&decide(&service(R4), &service_world()), &[].into()), None);
}

#[test]
fn what_is_held_says_how_its_workload_is() {
    let mut world = serving_world();
    let mut running = (*running("0.2.0")).clone();
    running.metadata.labels = Some([("fhir-operator.dev/owner-uid".to_owned(), "uid-clinic".to_owned())].into());
    world.stateful_set = Some(Arc::new(running));
    let held = service(&format!("{R4}, networking: {{host: fhir.example.org}}"));
    insta::assert_snapshot!(lines(&status(&held, &decide(&held, &world), &world).conditions));
}

#[test]
fn connectors_left_from_an_r4_service_get_nothing_from_its_stu3_successor() {
    let world = World {
        connectors: vec![Arc::new(connector(""))],
        ..service_world()
    };
    let built = build(
        &service("fhirVersion: STU3, authentication: {serviceAccounts: true}"),
        &world,
    );
    assert!(!built.access.data.unwrap()["access.json"].contains("Connector"));
}
