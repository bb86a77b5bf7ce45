//! Fields whose type is final and that this release doesn't act on are refused, never silently ignored.

use fhir_operator_api::{
    DeletionPolicy, DeviceNetworking, FhirService, FhirServiceSpec, IoTConnector, IoTConnectorSpec, Reason, Role,
};

use super::Verdict;
use crate::Refusal;
use crate::names::Owner;

/// Every field of the service is one that this release acts on.
pub fn service_is_supported(service: &FhirService) -> Verdict {
    refuse(&unsupported_of_service(&service.spec))
}

/// Every field of the connector is one that this release acts on.
pub fn connector_is_supported(connector: &IoTConnector) -> Verdict {
    let spec = &connector.spec;
    let verdict = refuse(&unsupported_of_connector(spec));
    if spec.networking.as_ref().is_none_or(|wanted| routes(wanted).is_empty()) {
        return verdict;
    }
    let service = Owner::connector(connector).child();
    verdict.map_err(|refusal| {
        let message = refusal.message;
        Refusal::new(
            refusal.reason,
            format!(
                "{message}; devices outside the cluster reach Service `{service}`, port 80, by an Ingress or a \
                 Gateway's route of your own"
            ),
        )
    })
}

/// What of a service this release doesn't act on, as paths.
pub(crate) fn unsupported_of_service(spec: &FhirServiceSpec) -> Vec<String> {
    let database = spec.database.as_ref();
    let networking = spec.networking.as_ref();
    let mut unsupported: Vec<String> = [
        ("spec.autoscaling", spec.autoscaling.is_some()),
        (
            "spec.authentication.smart",
            spec.authentication.smart.is_some_and(|smart| smart.enabled),
        ),
        (
            "spec.database.postgres",
            database.is_some_and(|database| database.postgres.is_some()),
        ),
        (
            "spec.database.external",
            database.is_some_and(|database| database.external.is_some()),
        ),
        (
            "spec.networking.host",
            networking.is_some_and(|networking| networking.host.is_some()),
        ),
        (
            "spec.networking.gateway",
            networking.is_some_and(|networking| networking.gateway.is_some()),
        ),
        (
            "spec.networking.ingressClassName",
            networking.is_some_and(|networking| networking.ingress_class_name.is_some()),
        ),
        (
            "spec.networking.tls",
            networking.is_some_and(|networking| networking.tls.is_some()),
        ),
    ]
    .into_iter()
    .filter(|(_, there)| *there)
    .map(|(path, _)| path.to_owned())
    .collect();
    for (position, grant) in spec.access.iter().enumerate() {
        match grant.role {
            Role::Reader | Role::Writer | Role::Contributor => {}
            Role::Exporter
            | Role::Importer
            | Role::Converter
            | Role::BulkOperator
            | Role::SearchParameterManager
            | Role::SmartUser => unsupported.push(format!("spec.access[{position}].role {:?}", grant.role)),
        }
    }
    unsupported
}

/// What of a connector this release doesn't act on, as paths.
pub(crate) fn unsupported_of_connector(spec: &IoTConnectorSpec) -> Vec<String> {
    let mut unsupported = spec.networking.as_ref().map(routes).unwrap_or_default();
    if spec.source.as_ref().is_some_and(|source| source.managed.is_some()) {
        unsupported.push("spec.source.managed".to_owned());
    }
    // Streams belong to whoever runs the NATS.
    let shares = spec.source.as_ref().is_some_and(|source| source.shared().is_some());
    if shares && spec.deletion_policy == Some(DeletionPolicy::Delete) {
        unsupported.push("spec.deletionPolicy Delete with shared work".to_owned());
    }
    unsupported
}

/// What is asked for of a connector's way to the outside, as paths.
fn routes(wanted: &DeviceNetworking) -> Vec<String> {
    let DeviceNetworking {
        host,
        gateway,
        ingress_class_name,
        tls,
        mqtt,
    } = wanted;
    [
        ("host", host.is_some()),
        ("gateway", gateway.is_some()),
        ("ingressClassName", ingress_class_name.is_some()),
        ("tls", tls.is_some()),
        ("mqtt", mqtt.is_some()),
    ]
    .into_iter()
    .filter(|(_, there)| *there)
    .map(|(member, _)| format!("spec.networking.{member}"))
    .collect()
}

fn refuse(unsupported: &[String]) -> Verdict {
    if unsupported.is_empty() {
        return Ok(());
    }
    let fields = unsupported
        .iter()
        .map(|path| format!("`{path}`"))
        .collect::<Vec<_>>()
        .join(", ");
    Err(Refusal::new(
        Reason::NotSupported,
        format!("this release doesn't act on {fields}: remove it"),
    ))
}
