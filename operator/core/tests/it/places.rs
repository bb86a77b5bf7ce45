//! Who gets a place: never more than the quota, nobody displaced, the same whatever the order.

use fhir_operator_core::api::{ConditionType, FhirService, IoTConnector, Reason, Tenant};
use fhir_operator_core::installation::NamespaceQuota;
use fhir_operator_core::tenant::{self, Holder, Place, Places, places};
use fhir_operator_core::{Installation, UnassignedNamespaces, conditions};
use proptest::prelude::*;
use rstest::rstest;

use crate::fixture::{ADMITTED, NOW, at, tenant as tenant_object, yaml};

fn hospital() -> Holder {
    Holder::Tenant("hospital".to_owned())
}

fn quota(fhir_services: u32, iot_connectors: u32) -> NamespaceQuota {
    NamespaceQuota {
        fhir_services,
        iot_connectors,
    }
}

fn service(name: &str, spec: &str, admitted: bool) -> FhirService {
    let status = if admitted { ADMITTED } else { "" };
    yaml(&format!(
        "metadata: {{name: {name}, namespace: ward-a, uid: uid-{name}, creationTimestamp: 2026-01-01T00:00:00Z}}\nspec: {{authentication: {{serviceAccounts: true}}, {spec}}}\nstatus: {{{status}}}"
    ))
}

fn connector(number: usize, service: &str, second: i64, admitted: bool) -> IoTConnector {
    let status = if admitted { ADMITTED } else { "" };
    let created = at("2026-01-01T00:00:00Z") + jiff::SignedDuration::from_secs(second);
    yaml(&format!(
        "metadata: {{name: c-{number}, namespace: ward-a, uid: uid-{number:04}, creationTimestamp: {created}}}\nspec: {{fhirService: {service}}}\nstatus: {{{status}}}"
    ))
}

const LINK: &str = "networking: {privateLink: {allowedNamespaces: {matchLabels: {a: b}}}}";

fn one(services: &[FhirService], connector: &IoTConnector) -> Place {
    places(&hospital(), quota(10, 2), services, std::slice::from_ref(connector)).connectors[0]
        .place
        .clone()
}

#[rstest]
#[case::r4(vec![service("clinic", "fhirVersion: R4", true)], None)]
#[case::no_service(vec![], Some(Reason::FhirServiceNotFound))]
#[case::another_service(vec![service("archive", "fhirVersion: R4", true)], Some(Reason::FhirServiceNotFound))]
#[case::service_without_place(vec![service("clinic", "fhirVersion: R4", false)], Some(Reason::FhirServiceNotAdmitted))]
#[case::stu3(vec![service("clinic", "fhirVersion: STU3", true)], Some(Reason::FhirVersionNotSupported))]
#[case::private_link(vec![service("clinic", &format!("fhirVersion: R4, {LINK}"), true)], Some(Reason::PrivateLinkEnabled))]
fn eligibility_comes_first(#[case] services: Vec<FhirService>, #[case] refused: Option<Reason>) {
    match (one(&services, &connector(1, "clinic", 0, false)), refused) {
        (Place::Given, None) => {}
        (Place::Refused(refusal), Some(reason)) => assert_eq!(refusal.reason, reason),
        (place, expected) => panic!("{place:?}, not {expected:?}"),
    }
    // who has a place keeps it, whatever becomes of the service
    assert_eq!(one(&services, &connector(1, "clinic", 0, true)), Place::Kept);
}

#[test]
fn the_refused_are_told_with_the_numbers_and_what_to_do() {
    let services = [service("clinic", "fhirVersion: R4", true)];
    let connectors: Vec<IoTConnector> = (0..3)
        .map(|number| connector(number, "clinic", 0, number < 2))
        .collect();
    let told = |holder: &Holder, quota| match &places(holder, quota, &services, &connectors).connectors[2].place {
        Place::Refused(refusal) => refusal.message.clone(),
        place => panic!("{place:?}"),
    };
    insta::assert_snapshot!(
        [
            told(&hospital(), quota(10, 2)),
            told(&Holder::Namespace("ward-a".to_owned()), quota(10, 2)),
            told(&Holder::Nobody("ward-a".to_owned()), quota(10, 2)),
        ]
        .join("\n")
    );
    let services: Vec<FhirService> = ["alpha", "beta"]
        .iter()
        .map(|name| service(name, "fhirVersion: R4", *name == "alpha"))
        .collect();
    let none: [IoTConnector; 0] = [];
    let Place::Refused(refusal) = &places(&hospital(), quota(1, 2), &services, &none).services[1].place else {
        panic!("refused")
    };
    insta::assert_snapshot!(refusal.message);
}

#[test]
fn at_the_highest_quota_only_deletion_helps() {
    let services = [service("clinic", "fhirVersion: R4", true)];
    let connectors: Vec<IoTConnector> = (0..6)
        .map(|number| connector(number, "clinic", 0, number < 5))
        .collect();
    let Place::Refused(refusal) = &places(&hospital(), quota(10, 5), &services, &connectors).connectors[5].place else {
        panic!("refused")
    };
    assert!(
        refusal.message.ends_with("tenant `hospital` has 5 of 5. Delete one."),
        "{}",
        refusal.message
    );
}

#[test]
fn the_oldest_come_first_then_the_smallest_uid() {
    let services = [service("clinic", "fhirVersion: R4", true)];
    let connectors = [
        connector(3, "clinic", 5, false),
        connector(2, "clinic", 1, false),
        connector(1, "clinic", 1, false),
        connector(0, "clinic", 9, false),
    ];
    let given: Vec<bool> = places(&hospital(), quota(10, 2), &services, &connectors)
        .connectors
        .iter()
        .map(fhir_operator_core::tenant::Placed::is_placed)
        .collect();
    assert_eq!(given, [false, true, true, false]);
}

#[test]
fn an_older_connector_that_is_not_eligible_takes_nothing_from_a_younger() {
    let services = [
        service("clinic", "fhirVersion: R4", true),
        service("archive", "fhirVersion: STU3", true),
    ];
    let connectors = [
        connector(1, "archive", 0, false),
        connector(2, "archive", 0, false),
        connector(3, "clinic", 9, false),
    ];
    assert_eq!(
        places(&hospital(), quota(10, 2), &services, &connectors).connectors[2].place,
        Place::Given
    );
}

#[test]
fn what_leaves_without_a_place_gets_none() {
    let mut leaving = connector(1, "clinic", 0, false);
    leaving.metadata.deletion_timestamp = leaving.metadata.creation_timestamp.clone();
    let placed = &places(
        &hospital(),
        quota(10, 2),
        &[service("clinic", "fhirVersion: R4", true)],
        &[leaving],
    )
    .connectors[0];
    assert_eq!(placed.place, Place::Leaving);
    assert_eq!(placed.condition(&[], at(NOW)), None);
}

#[derive(Clone, Debug)]
struct Wave {
    quota: u32,
    connectors: Vec<(i64, bool)>,
}

fn wave() -> impl Strategy<Value = Wave> {
    (
        2..=5_u32,
        prop::collection::vec((0..4_i64, prop::bool::weighted(0.2)), 0..20),
    )
        .prop_map(|(quota, connectors)| Wave { quota, connectors })
}

fn judged(wave: &Wave) -> (Vec<IoTConnector>, Places) {
    let services = [service("clinic", "fhirVersion: R4", true)];
    let connectors: Vec<IoTConnector> = wave
        .connectors
        .iter()
        .enumerate()
        .map(|(number, (second, admitted))| connector(number, "clinic", *second, *admitted))
        .collect();
    let places = places(&hospital(), quota(10, wave.quota), &services, &connectors);
    (connectors, places)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn never_more_than_the_quota_and_never_fewer(wave in wave()) {
        let (_, places) = judged(&wave);
        let had = wave.connectors.iter().filter(|(_, admitted)| *admitted).count();
        let has = places.connectors.iter().filter(|one| one.is_placed()).count();
        let quota = wave.quota as usize;
        prop_assert_eq!(has, had.max(quota.min(wave.connectors.len())));
    }

    #[test]
    fn nobody_is_displaced(wave in wave()) {
        let (_, places) = judged(&wave);
        for ((_, admitted), placed) in wave.connectors.iter().zip(&places.connectors) {
            prop_assert_eq!(*admitted, placed.place == Place::Kept);
        }
    }

    #[test]
    fn the_order_of_the_list_is_no_matter(wave in wave(), turn in 0..20_usize) {
        let (mut connectors, places) = judged(&wave);
        if !connectors.is_empty() {
            let by = turn % connectors.len();
            connectors.rotate_left(by);
        }
        connectors.reverse();
        let services = [service("clinic", "fhirVersion: R4", true)];
        let again = fhir_operator_core::tenant::places(&hospital(), quota(10, wave.quota), &services, &connectors);
        let by_name = |places: &Places| {
            let mut all: Vec<(String, bool)> = places.connectors.iter().map(|one| (one.name.clone(), one.is_placed())).collect();
            all.sort();
            all
        };
        prop_assert_eq!(by_name(&places), by_name(&again));
    }

    #[test]
    fn a_second_round_gives_nothing_more(wave in wave()) {
        let (mut connectors, places) = judged(&wave);
        for (connector, placed) in connectors.iter_mut().zip(&places.connectors) {
            let mut status = connector.status.take().unwrap_or_default();
            status.conditions = placed.condition(&status.conditions, at(NOW)).into_iter().collect();
            connector.status = Some(status);
        }
        let services = [service("clinic", "fhirVersion: R4", true)];
        let again = fhir_operator_core::tenant::places(&hospital(), quota(10, wave.quota), &services, &connectors);
        prop_assert!(again.connectors.iter().all(|one| one.place != Place::Given));
        for (connector, placed) in connectors.iter().zip(&again.connectors) {
            let held = connector.status.as_ref().unwrap().conditions.clone();
            let written = placed.condition(&held, at("2026-02-01T00:00:00Z"));
            prop_assert_eq!(written.as_ref(), held.first());
        }
    }
}

fn tenants() -> Vec<Tenant> {
    let mut older = tenant_object("hospital", &["ward-a", "ward-b"], "iotConnectors: 3");
    older.metadata.creation_timestamp = yaml("2025-01-01T00:00:00Z");
    vec![tenant_object("practice", &["ward-b", "ward-c"], ""), older]
}

#[rstest]
#[case("ward-a", Holder::Tenant("hospital".to_owned()))]
#[case::in_two("ward-b", Holder::Tenant("hospital".to_owned()))]
#[case("ward-c", Holder::Tenant("practice".to_owned()))]
#[case::in_none("ward-d", Holder::Namespace("ward-d".to_owned()))]
fn the_oldest_tenant_holds_a_namespace(#[case] namespace: &str, #[case] holder: Holder) {
    assert_eq!(tenant::holder(namespace, &tenants(), &Installation::default()), holder);
}

#[test]
fn unassigned_namespaces_can_be_refused() {
    let installation = Installation {
        unassigned_namespaces: UnassignedNamespaces::Refuse,
        ..Installation::default()
    };
    let holder = tenant::holder("ward-d", &tenants(), &installation);
    assert_eq!(holder, Holder::Nobody("ward-d".to_owned()));
    let none: [IoTConnector; 0] = [];
    let placed = &places(
        &holder,
        quota(10, 2),
        &[service("clinic", "fhirVersion: R4", false)],
        &none,
    )
    .services[0];
    assert!(matches!(&placed.place, Place::Refused(refusal) if refusal.reason == Reason::NoTenant));
}

#[test]
fn a_tenant_says_what_is_in_use_and_who_waits() {
    let all = tenants();
    let services = [
        service("clinic", "fhirVersion: R4", true),
        service("annex", "fhirVersion: R4", false),
    ];
    let connectors: Vec<IoTConnector> = (0..30)
        .map(|number| connector(number, "clinic", 0, number < 4))
        .collect();
    let holder = Holder::Tenant("practice".to_owned());
    let held = tenant::quota(&holder, &all, &Installation::default());
    assert_eq!(held, quota(10, 2));
    let places = places(&holder, held, &services, &connectors);
    let said = tenant::status(&all[0], &places, &all, &Installation::default(), at(NOW));
    insta::assert_snapshot!(serde_yaml::to_string(&said).unwrap());
    assert!(conditions::is_true(&said.conditions, ConditionType::OverQuota));
    assert_eq!(tenant::namespaces(&holder, &all, &Installation::default()), ["ward-c"]);
}
