//! Fields whose type is final and that this release doesn't act on are refused, never silently ignored.

use fhir_operator_api::{DeletionPolicy, FhirService, FhirServiceSpec, IoTConnector, IoTConnectorSpec, Reason, Role};

use super::Verdict;
use crate::Refusal;

/// Every field of the service is one that this release acts on.
pub fn service_is_supported(service: &FhirService) -> Verdict {
    refuse(&unsupported_of_service(&service.spec))
}

/// Every field of the connector is one that this release acts on.
pub fn connector_is_supported(connector: &IoTConnector) -> Verdict {
    refuse(&unsupported_of_connector(&connector.spec))
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
    let mut unsupported = Vec::new();
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
