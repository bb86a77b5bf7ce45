//! Plays the conformance cases of `tests/cases/mapping`, or of a folder named in `IOT_CASES`, in upstream's semantics, and
//! prints the number passed by kind. Kinds that need a server are played by iot-connector.

mod batch;
mod expression;
mod facts;
mod grouping;
mod normalise;
mod observation;
mod partition;
mod runner;
mod sampled_data;
mod template;
mod validate;

use runner::Verdict;
use serde_json::Value;

#[test]
fn cases() {
    runner::run(|kind, case| {
        if uses_jmespath(case) {
            return Verdict::LeftOut("JMESPath");
        }
        match kind {
            "normalise" => normalise::check(case).into(),
            "template" => template::check(case).into(),
            "validate" => validate::check(case).into(),
            "expressions" => expression::check(case).into(),
            "grouping" => grouping::check(case).into(),
            "batch" => batch::check(case).into(),
            "fhir" => observation::check(case).into(),
            "fhirValues" => observation::check_value(case).into(),
            "partitionHash" => partition::check(case),
            "sampledData" => sampled_data::check(case),
            "functions" => Verdict::LeftOut("JMESPath"),
            _ => Verdict::LeftOut("played by `cargo test -p iot-connector --test cases`"),
        }
    });
}

/// Whether a template or a row says that an expression is JMESPath (as a language, not in a text).
fn uses_jmespath(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, value)| {
            let names = name.eq_ignore_ascii_case("language") || name.eq_ignore_ascii_case("defaultExpressionLanguage");
            (names && value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("JmesPath"))) || uses_jmespath(value)
        }),
        Value::Array(items) => items.iter().any(uses_jmespath),
        Value::String(text) => text.contains("\"JmesPath\""),
        _ => false,
    }
}
