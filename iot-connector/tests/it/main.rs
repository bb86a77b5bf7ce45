//! The connector as a whole: over real ports, against a FHIR server that can be told to fail.

mod broker;
mod browser;
mod bundles;
mod credentials;
mod dead_letters;
mod examples;
mod figures;
mod idempotency;
mod ingest;
mod kafka;
mod kafka_broker;
mod kill;
mod mapping_page;
mod mappings;
mod mosquitto;
mod mqtt;
mod nats;
mod nats_server;
mod redelivery;
mod refusals;
mod shared;
mod shared_kafka;
mod tokens;
mod trace;
mod waiting;

#[path = "../../../daemon/bearer/tests/it/idp.rs"]
#[expect(dead_code, reason = "the provider of the tests of tokens can do more")]
mod idp;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../../daemon/bearer/tests/it/token_issuer.rs"]
mod token_issuer;
