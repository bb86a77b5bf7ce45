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

#[test]
fn cases() {
    runner::run(|kind, case| match kind {
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
        "functions" => expression::check_function(case).into(),
        _ => Verdict::LeftOut("played by `cargo test -p iot-connector --test cases`"),
    });
}
