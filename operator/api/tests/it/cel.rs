//! Each CEL rule, with what it accepts and what it refuses.

use fhir_operator_api::{FhirService, IoTConnector};
use kube::core::cel::{validate_cel, validate_cel_update};
use rstest::rstest;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn object<K: DeserializeOwned>(name: &str, spec: &str) -> K {
    serde_yaml::from_str(&format!("metadata: {{name: {name}, namespace: ward}}\nspec: {spec}")).unwrap()
}

fn service(spec: &str) -> FhirService {
    object(
        "clinic",
        &format!("{{fhirVersion: R4, authentication: {{serviceAccounts: true}}, {spec}}}"),
    )
}

fn connector(spec: &str) -> IoTConnector {
    object("vitals", &format!("{{fhirService: clinic, {spec}}}"))
}

/// `says`: a part of the only message, or empty where the object is accepted.
fn created<K: kube::CustomResourceExt + Serialize>(object: &K, says: &str) {
    judge(validate_cel(object).map_err(|errors| errors.to_string()), says);
}

fn updated<K: kube::CustomResourceExt + Serialize>(old: &K, new: &K, says: &str) {
    judge(validate_cel_update(new, old).map_err(|errors| errors.to_string()), says);
}

fn judge(outcome: Result<(), String>, says: &str) {
    match outcome {
        Ok(()) => assert!(says.is_empty(), "accepted, not refused with `{says}`"),
        Err(said) => assert!(
            !says.is_empty() && said.contains(says),
            "`{says}` isn't what was said: {said}"
        ),
    }
}

#[rstest]
#[case::shortest("abc", "")]
#[case::longest("a23456789012345678901234", "")]
#[case::digit_at_the_end("a-1", "")]
#[case::too_short("ab", "3 to 24")]
#[case::too_long("a234567890123456789012345", "3 to 24")]
#[case::digit_first("9clinic", "begin with a letter")]
#[case::hyphen_last("clinic-", "end with a letter")]
#[case::dot("a.b.c", "a-z, 0-9")]
fn names(#[case] name: &str, #[case] says: &str) {
    let service: FhirService = object(name, "{fhirVersion: R4, authentication: {serviceAccounts: true}}");
    created(&service, says);
    let connector: IoTConnector = object(name, "{fhirService: clinic}");
    created(&connector, says);
}

#[rstest]
#[case::minimal("", "")]
#[case::one_replica("replicas: 1", "")]
#[case::replicas_of_postgres("replicas: 3, database: {postgres: {}}", "")]
#[case::replicas_of_external("replicas: 3, database: {external: {secretName: s, key: k}}", "")]
#[case::replicas_of_sqlite("replicas: 2", "PostgreSQL")]
#[case::replicas_of_named_sqlite("replicas: 2, database: {sqlite: {}}", "PostgreSQL")]
#[case::two_databases("database: {sqlite: {}, postgres: {}}", "at most one of sqlite")]
#[case::private_link("networking: {privateLink: {allowedNamespaces: {matchLabels: {a: b}}}}", "")]
#[case::private_link_by_expression(
    "networking: {privateLink: {allowedNamespaces: {matchExpressions: [{key: a, operator: Exists}]}}}",
    ""
)]
#[case::private_link_for_all("networking: {privateLink: {allowedNamespaces: {}}}", "must select")]
#[case::two_routes("networking: {gateway: {name: g}, ingressClassName: i}", "at most one of gateway")]
#[case::subject_by_id("access: [{role: Reader, subjects: [{objectId: x}]}]", "")]
#[case::subject_by_account("access: [{role: Reader, subjects: [{serviceAccount: a/b}]}]", "")]
#[case::subject_by_claim("access: [{role: Reader, subjects: [{claim: groups, value: x}]}]", "")]
#[case::subject_of_nobody("access: [{role: Reader, subjects: [{}]}]", "exactly one of objectId")]
#[case::subject_without_value("access: [{role: Reader, subjects: [{claim: groups}]}]", "exactly one of objectId")]
#[case::subject_of_two(
    "access: [{role: Reader, subjects: [{objectId: x, serviceAccount: y}]}]",
    "exactly one of objectId"
)]
#[case::credentials_for_one("cors: {origins: ['https://a'], allowCredentials: true}", "")]
#[case::credentials_for_all("cors: {origins: ['*'], allowCredentials: true}", "never combined")]
fn services(#[case] spec: &str, #[case] says: &str) {
    created(&service(spec), says);
}

#[rstest]
#[case::accounts("{serviceAccounts: true}", "")]
#[case::issuer("{issuers: [{authority: 'https://i', audience: a}]}", "")]
#[case::both("{serviceAccounts: true, issuers: [{authority: 'https://i', audience: a}]}", "")]
#[case::anonymous("{anonymous: true}", "")]
#[case::nobody("{}", "say who")]
#[case::nobody_in_words("{anonymous: false, serviceAccounts: false}", "say who")]
#[case::anonymous_with_accounts("{anonymous: true, serviceAccounts: true}", "anonymous stands alone")]
#[case::anonymous_with_issuer(
    "{anonymous: true, issuers: [{authority: 'https://i', audience: a}]}",
    "anonymous stands alone"
)]
fn presenting(#[case] authentication: &str, #[case] says: &str) {
    let service: FhirService = object(
        "clinic",
        &format!("{{fhirVersion: R4, authentication: {authentication}}}"),
    );
    created(&service, says);
}

#[test]
fn anonymous_services_have_no_route() {
    let anonymous = |networking: &str| -> FhirService {
        object(
            "clinic",
            &format!("{{fhirVersion: R4, authentication: {{anonymous: true}}, networking: {networking}}}"),
        )
    };
    created(&anonymous("{publicNetworkAccess: Disabled}"), "");
    created(&anonymous("{host: clinic.example.org}"), "exclude each other");
}

#[test]
fn the_fhir_version_is_immutable() {
    let other: FhirService = object("clinic", "{fhirVersion: STU3, authentication: {serviceAccounts: true}}");
    updated(&service(""), &service("suspend: true"), "");
    updated(&service(""), &other, "fhirVersion is immutable");
}

#[rstest]
#[case::named_default("", "database: {sqlite: {}}", "")]
#[case::default_size_named("", "database: {sqlite: {storage: 10Gi}}", "")]
#[case::grows("", "database: {sqlite: {storage: 20Gi}}", "")]
#[case::grows_by_unit("database: {sqlite: {storage: 10240Mi}}", "database: {sqlite: {storage: 11Gi}}", "")]
#[case::same_size_otherwise("database: {sqlite: {storage: 10240Mi}}", "database: {sqlite: {storage: 10Gi}}", "")]
#[case::shrinks(
    "database: {sqlite: {storage: 20Gi}}",
    "database: {sqlite: {storage: 15Gi}}",
    "only grows"
)]
#[case::shrinks_below_default("", "database: {sqlite: {storage: 5Gi}}", "only grows")]
#[case::shrinks_to_default("database: {sqlite: {storage: 20Gi}}", "", "only grows")]
#[case::other_kind("", "database: {postgres: {}}", "kind of database is immutable")]
#[case::other_kind_back("database: {external: {secretName: s, key: k}}", "", "kind of database is immutable")]
#[case::class_named("", "database: {sqlite: {storageClassName: fast}}", "storageClassName is immutable")]
#[case::class_changed(
    "database: {sqlite: {storageClassName: fast}}",
    "database: {sqlite: {storageClassName: slow}}",
    "storageClassName is immutable"
)]
#[case::class_dropped(
    "database: {sqlite: {storageClassName: fast}}",
    "database: {sqlite: {}}",
    "storageClassName is immutable"
)]
#[case::postgres_grows("database: {postgres: {storage: 10Gi}}", "database: {postgres: {storage: 20Gi}}", "")]
#[case::postgres_shrinks(
    "database: {postgres: {storage: 20Gi}}",
    "database: {postgres: {storage: 10Gi}}",
    "postgres.storage only grows"
)]
#[case::postgres_class(
    "database: {postgres: {storageClassName: fast}}",
    "database: {postgres: {}}",
    "postgres.storageClassName is immutable"
)]
fn databases_change_in_bounds(#[case] old: &str, #[case] new: &str, #[case] says: &str) {
    updated(&service(old), &service(new), says);
}

#[rstest]
#[case::minimal("", "")]
#[case::embedded("source: {embedded: {storage: 5Gi}}", "")]
#[case::two_sources("source: {embedded: {}, managed: {}}", "at most one of embedded")]
#[case::two_brokers(
    "source: {mqtt: {address: 'mqtt://b', topics: [t]}, nats: {servers: ['nats://b'], stream: S}}",
    "at most one of embedded"
)]
#[case::mqtt(
    "source: {mqtt: {address: 'mqtts://broker.example:8883', topics: ['a/#'], secretName: broker}}",
    ""
)]
#[case::nats(
    "source: {nats: {servers: ['tls://nats.example:4222'], stream: DEVICES, deviceToken: 2}}",
    ""
)]
#[case::shared_work(
    "source: {nats: {servers: ['nats://b'], stream: S, shared: {replicas: 3, copies: 3}}}",
    ""
)]
#[case::two_copies(
    "source: {nats: {servers: ['nats://b'], stream: S, shared: {copies: 2}}}",
    "shared.copies has to be 1, 3 or 5"
)]
#[case::streams_elsewhere(
    "source: {nats: {servers: ['nats://b'], stream: S, shared: {nats: {servers: ['nats://c']}}}}",
    "source.nats.shared.nats has to be left out"
)]
#[case::shared_partitions(
    "source: {kafka: {brokers: ['b:9092'], topics: [t], shared: {nats: {servers: ['nats://c'], secretName: nats}}}}",
    ""
)]
#[case::partitions_without_streams(
    "source: {kafka: {brokers: ['b:9092'], topics: [t], shared: {replicas: 2}}}",
    "source.kafka.shared.nats is required"
)]
#[case::shared_http("source: {http: {shared: {nats: {servers: ['nats://c']}}}}", "")]
#[case::http_without_streams("source: {http: {shared: {}}}", "source.http.shared.nats is required")]
#[case::kafka(
    "source: {kafka: {brokers: ['b.example:9093'], topics: [t], tls: true, mechanism: PLAIN, secretName: hubs}}",
    ""
)]
#[case::two_of_three(
    "source: {kafka: {brokers: ['b:9092'], topics: [t]}, nats: {servers: ['nats://b'], stream: S}}",
    "at most one of embedded"
)]
#[case::two_routes("networking: {gateway: {name: g}, ingressClassName: i}", "at most one of gateway")]
#[case::inline("deviceMapping: {templateType: CollectionContent, template: [{a: 1}]}", "")]
#[case::referenced("deviceMapping: {configMap: m, key: k}", "")]
#[case::neither("deviceMapping: {}", "either templateType")]
#[case::without_key("deviceMapping: {configMap: m}", "either templateType")]
#[case::without_template("fhirMapping: {templateType: CollectionFhir}", "either templateType")]
#[case::both_forms(
    "fhirMapping: {templateType: CollectionFhir, template: [], configMap: m, key: k}",
    "either templateType"
)]
fn connectors(#[case] spec: &str, #[case] says: &str) {
    created(&connector(spec), says);
}

#[rstest]
#[case::window("", "window: {flushSeconds: 10}", "")]
#[case::source_named("", "source: {embedded: {}}", "")]
#[case::spool_grows("", "source: {embedded: {storage: 6Gi}}", "")]
#[case::spool_shrinks("", "source: {embedded: {storage: 4Gi}}", "source.embedded.storage only grows")]
#[case::other_source("", "source: {managed: {}}", "kind of source is immutable")]
#[case::broker_instead(
    "",
    "source: {mqtt: {address: 'mqtt://b', topics: [t]}}",
    "kind of source is immutable"
)]
#[case::other_broker(
    "source: {mqtt: {address: 'mqtt://b', topics: [t]}}",
    "source: {mqtt: {address: 'mqtt://c', topics: [t]}}",
    ""
)]
#[case::kafka_instead(
    "source: {nats: {servers: ['nats://b'], stream: S}}",
    "source: {kafka: {brokers: ['b:9092'], topics: [t]}}",
    "kind of source is immutable"
)]
#[case::other_kind(
    "source: {mqtt: {address: 'mqtt://b', topics: [t]}}",
    "source: {nats: {servers: ['nats://b'], stream: S}}",
    "kind of source is immutable"
)]
#[case::work_shared_later(
    "source: {nats: {servers: ['nats://b'], stream: S}}",
    "source: {nats: {servers: ['nats://b'], stream: S, shared: {}}}",
    "source.nats.shared can't be added or removed"
)]
#[case::work_shared_no_more(
    "source: {nats: {servers: ['nats://b'], stream: S, shared: {}}}",
    "source: {nats: {servers: ['nats://b'], stream: S}}",
    "source.nats.shared can't be added or removed"
)]
#[case::partitions_shared_later(
    "source: {kafka: {brokers: ['b:9092'], topics: [t]}}",
    "source: {kafka: {brokers: ['b:9092'], topics: [t], shared: {nats: {servers: ['nats://c']}}}}",
    "source.kafka.shared can't be added or removed"
)]
#[case::http_shared_later(
    "",
    "source: {http: {shared: {nats: {servers: ['nats://c']}}}}",
    "kind of source is immutable"
)]
#[case::more_replicas(
    "source: {nats: {servers: ['nats://b'], stream: S, shared: {}}}",
    "source: {nats: {servers: ['nats://b'], stream: S, shared: {replicas: 5}}}",
    ""
)]
#[case::class_named("", "source: {embedded: {storageClassName: fast}}", "storageClassName is immutable")]
#[case::new_key("connections: [{name: ward}]", "connections: [{name: ward, keyGeneration: 2}]", "")]
#[case::other_connections("connections: [{name: ward, keyGeneration: 2}]", "connections: [{name: hall}]", "")]
#[case::older_key(
    "connections: [{name: ward, keyGeneration: 2}]",
    "connections: [{name: ward}]",
    "keyGeneration only grows"
)]
fn connectors_change_in_bounds(#[case] old: &str, #[case] new: &str, #[case] says: &str) {
    updated(&connector(old), &connector(new), says);
}

#[test]
fn the_service_of_a_connector_is_immutable() {
    let other: IoTConnector = object("vitals", "{fhirService: archive}");
    updated(&connector(""), &other, "fhirService is immutable");
}
