//! What the webhook answers.

use std::sync::Arc;

use fhir_operator_core::admission::{AdmissionWorld, Judgement, fhir_service, iot_connector, tenant};
use fhir_operator_core::api::{FhirService, IoTConnector, Reason};
use rstest::rstest;

use crate::fixture::{self, R4, connector, installation, service, yaml};

fn world() -> AdmissionWorld {
    AdmissionWorld {
        installation: installation(),
        tenants: vec![Arc::new(fixture::tenant("hospital", &["ward-a"], "fhirServices: 2"))],
        services: vec![Arc::new(service(R4))],
        connectors: Vec::new(),
        volume_claim: None,
    }
}

/// An object that is about to be created: no status, no time.
fn new_service(name: &str, spec: &str) -> FhirService {
    yaml(&format!(
        "metadata: {{name: {name}, namespace: ward-a}}\nspec: {{{spec}}}"
    ))
}

fn new_connector(spec: &str) -> IoTConnector {
    yaml(&format!(
        "metadata: {{name: scales, namespace: ward-a}}\nspec: {{{spec}}}"
    ))
}

fn denied(judgement: &Judgement) -> Option<Reason> {
    judgement.denial.as_ref().map(|refusal| refusal.reason)
}

fn admitted(name: &str) -> Arc<IoTConnector> {
    let mut one = connector("");
    one.metadata.name = Some(name.to_owned());
    Arc::new(one)
}

#[rstest]
#[case::good("annex", R4, None)]
#[case::not_supported(
    "annex",
    "fhirVersion: R4, authentication: {serviceAccounts: true}, networking: {host: fhir.example.org}",
    Some(Reason::NotSupported)
)]
#[case::smart(
    "annex",
    "fhirVersion: R4, authentication: {serviceAccounts: true, smart: {enabled: true}}",
    Some(Reason::NotSupported)
)]
#[case::unknown_release(
    "annex",
    "fhirVersion: R4, authentication: {serviceAccounts: true}, version: 7.0.0",
    Some(Reason::NotSupported)
)]
#[case::unknown_zone(
    "annex",
    "fhirVersion: R4, authentication: {serviceAccounts: true}, maintenanceWindow: {start: '02:00', timeZone: Mars}",
    Some(Reason::NotSupported)
)]
fn new_services(#[case] name: &str, #[case] spec: &str, #[case] reason: Option<Reason>) {
    assert_eq!(denied(&fhir_service(None, &new_service(name, spec), &world())), reason);
}

#[test]
fn a_service_over_the_quota_is_denied() {
    let mut world = world();
    world.services.push(Arc::new(service(R4)));
    assert_eq!(
        denied(&fhir_service(None, &new_service("annex", R4), &world)),
        Some(Reason::QuotaExceeded)
    );
}

#[rstest]
#[case::good("fhirService: clinic", None, 0)]
#[case::service_comes_later("fhirService: other", None, 1)]
#[case::not_supported("fhirService: clinic, source: {managed: {}}", Some(Reason::NotSupported), 0)]
#[case::host(
    "fhirService: clinic, networking: {host: iot.example.org}",
    Some(Reason::NotSupported),
    0
)]
#[case::gateway(
    "fhirService: clinic, networking: {gateway: {name: outer}}",
    Some(Reason::NotSupported),
    0
)]
#[case::ingress(
    "fhirService: clinic, networking: {ingressClassName: nginx}",
    Some(Reason::NotSupported),
    0
)]
#[case::tls(
    "fhirService: clinic, networking: {tls: {secretName: certificate}}",
    Some(Reason::NotSupported),
    0
)]
#[case::mqtt(
    "fhirService: clinic, networking: {mqtt: {serviceType: LoadBalancer}}",
    Some(Reason::NotSupported),
    0
)]
#[case::small_volume("fhirService: clinic, source: {embedded: {storage: 256Mi}}", None, 0)]
#[case::smaller_volume(
    "fhirService: clinic, source: {embedded: {storage: 268M}}",
    Some(Reason::NotSupported),
    0
)]
#[case::nothing_of_networking("fhirService: clinic, networking: {}", None, 0)]
#[case::bad_mapping(
    "fhirService: clinic, deviceMapping: {templateType: CollectionFhir, template: []}",
    Some(Reason::MappingInvalid),
    0
)]
fn new_connectors(#[case] spec: &str, #[case] reason: Option<Reason>, #[case] warnings: usize) {
    let judgement = iot_connector(None, &new_connector(spec), &world());
    assert_eq!((denied(&judgement), judgement.warnings.len()), (reason, warnings));
}

#[test]
fn who_asks_for_a_route_is_told_how_to_make_one() {
    let asked = new_connector("fhirService: clinic, networking: {host: iot.example.org, gateway: {name: outer}}");
    let denial = iot_connector(None, &asked, &world()).denial.unwrap();
    assert_eq!(
        denial.message,
        "this release doesn't act on `spec.networking.host`, `spec.networking.gateway`: remove it; devices outside the \
         cluster reach Service `scales-iot`, port 80, by an Ingress or a Gateway's route of your own"
    );
    // what was stored before is the controller's matter
    assert_eq!(denied(&iot_connector(Some(&asked), &asked, &world())), None);
}

#[test]
fn the_third_connector_is_denied_and_so_is_one_behind_others_that_wait() {
    let mut world = world();
    world.connectors = vec![admitted("one")];
    assert_eq!(
        denied(&iot_connector(None, &new_connector("fhirService: clinic"), &world)),
        None
    );
    let mut waiting = connector("");
    waiting.status = None;
    world.connectors.push(Arc::new(waiting));
    assert_eq!(
        denied(&iot_connector(None, &new_connector("fhirService: clinic"), &world)),
        Some(Reason::QuotaExceeded)
    );
}

#[rstest]
#[case::stu3(
    "fhirVersion: STU3, authentication: {serviceAccounts: true}",
    Reason::FhirVersionNotSupported
)]
#[case::private_link(
    "fhirVersion: R4, authentication: {serviceAccounts: true}, networking: {privateLink: {allowedNamespaces: {matchLabels: {a: b}}}}",
    Reason::PrivateLinkEnabled
)]
fn connectors_that_their_service_excludes(#[case] spec: &str, #[case] reason: Reason) {
    let world = AdmissionWorld {
        services: vec![Arc::new(service(spec))],
        ..world()
    };
    assert_eq!(
        denied(&iot_connector(None, &new_connector("fhirService: clinic"), &world)),
        Some(reason)
    );
}

#[test]
fn private_link_on_a_service_with_a_connector_is_denied() {
    let world = AdmissionWorld {
        connectors: vec![admitted("vitals")],
        ..world()
    };
    let linked = service(&format!(
        "{R4}, networking: {{privateLink: {{allowedNamespaces: {{matchLabels: {{a: b}}}}}}}}"
    ));
    let judgement = fhir_service(Some(&service(R4)), &linked, &world);
    assert_eq!(denied(&judgement), Some(Reason::IotConnectorInstalled));
    assert!(judgement.denial.unwrap().message.contains("`vitals`"));
    // what was asked for before is the controller's matter
    assert_eq!(denied(&fhir_service(Some(&linked), &linked, &world)), None);
}

#[test]
fn an_update_is_judged_by_what_it_changes() {
    let stored = service(&format!("{R4}, networking: {{host: fhir.example.org}}, version: 7.0.0"));
    let suspended = service(&format!(
        "{R4}, networking: {{host: fhir.example.org}}, version: 7.0.0, suspend: true"
    ));
    assert_eq!(denied(&fhir_service(Some(&stored), &suspended, &world())), None);
    let more = service(&format!(
        "{R4}, networking: {{host: fhir.example.org}}, version: 7.0.0, autoscaling: {{minReplicas: 1, maxReplicas: 2, targetCPUUtilization: 9}}"
    ));
    assert_eq!(
        denied(&fhir_service(Some(&stored), &more, &world())),
        Some(Reason::NotSupported)
    );
}

/// What `standard` takes is JMESPath to `upstream` in such a template.
#[test]
fn inline_mappings_are_judged_again_with_another_compatibility() {
    let mapped = |compatibility: &str| {
        new_connector(&format!(
            "fhirService: clinic, compatibility: {compatibility}, deviceMapping: {{templateType: CollectionContent, template: [{{templateType: JsonPathContent, template: {{typeName: hr, typeMatchExpression: '$..[?(@heartRate)]', deviceIdExpression: {{value: deviceId, language: JmesPath}}, timestampExpression: $.endDate, values: [{{valueExpression: $.heartRate, valueName: hr}}]}}}}]}}"
        ))
    };
    let (before, after) = (mapped("standard"), mapped("upstream"));
    assert_eq!(denied(&iot_connector(None, &before, &world())), None);
    assert_eq!(
        denied(&iot_connector(Some(&before), &after, &world())),
        Some(Reason::MappingInvalid)
    );
    // nothing that a mapping depends on has changed
    assert_eq!(denied(&iot_connector(Some(&after), &after, &world())), None);
}

#[test]
fn a_pin_below_the_data_is_denied() {
    let claim = yaml("metadata: {name: clinic-fhir-data, annotations: {fhir-operator.dev/schema: '2'}}");
    let world = AdmissionWorld {
        volume_claim: Some(Arc::new(claim)),
        ..world()
    };
    let pinned = service(&format!("{R4}, version: 0.1.0"));
    assert_eq!(
        denied(&fhir_service(Some(&service(R4)), &pinned, &world)),
        Some(Reason::DowngradeNotSupported)
    );
}

#[test]
fn what_is_being_deleted_passes() {
    let mut leaving = service(&format!("{R4}, networking: {{host: fhir.example.org}}"));
    leaving.metadata.deletion_timestamp = leaving.metadata.creation_timestamp.clone();
    assert_eq!(denied(&fhir_service(Some(&service(R4)), &leaving, &world())), None);
}

#[test]
fn a_namespace_of_two_tenants_is_a_warning() {
    let other = fixture::tenant("practice", &["ward-a", "ward-b"], "");
    let judgement = tenant(None, &other, &world());
    assert_eq!(judgement.denial, None);
    assert_eq!(
        judgement.warnings,
        ["namespace `ward-a` is in Tenant `hospital` too: the older of both holds it"]
    );
}
