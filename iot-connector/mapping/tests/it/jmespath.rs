//! JMESPath as JmesPath.Net has it, where the specification or the usual engines differ: order, numbers, negation, positions.

use iot_mapping::{
    Compatibility::{self, Standard, Upstream},
    jmespath::{EvaluationError, Query, variable},
    json::Document,
};
use rstest::rstest;

/// The result as JSON.
fn evaluate(expression: &str, data: &str, compatibility: Compatibility) -> Result<String, EvaluationError> {
    let document = Document::parse(data.as_bytes()).unwrap();
    let query = Query::parse(expression, compatibility).unwrap();
    query.evaluate(&variable(&document, 0)).map(|result| result.to_string())
}

#[track_caller]
fn check(expression: &str, data: &str, expected: &str) {
    for compatibility in [Standard, Upstream] {
        let result = evaluate(expression, data, compatibility);
        assert_eq!(result.as_deref(), Ok(expected), "{compatibility:?}");
    }
}

#[rstest]
#[case::values_by_wildcard("*", r#"{"b": 1, "a": 2}"#, "[1,2]")]
#[case::values("values(@)", r#"{"b": 1, "a": 2}"#, "[1,2]")]
#[case::names("keys(@)", r#"{"b": 1, "a": 2}"#, r#"["b","a"]"#)]
#[case::an_object("@", r#"{"b": 1, "a": {"d": 1, "c": 2}}"#, r#"{"b":1,"a":{"d":1,"c":2}}"#)]
#[case::as_text("to_string(@)", r#"{"b": 1, "a": 2}"#, r#""{\"b\":1,\"a\":2}""#)]
#[case::as_it_is_put_together("{z: a, y: b}", r#"{"b": 1, "a": 2}"#, r#"{"z":2,"y":1}"#)]
#[case::put_together_and_listed("{z: a, y: b}.*", r#"{"b": 1, "a": 2}"#, "[2,1]")]
#[case::of_equal_names_the_last_in_the_place_of_the_first("@", r#"{"b": 1, "a": 2, "b": 3}"#, r#"{"b":3,"a":2}"#)]
#[case::a_literal("`{\"b\": 1, \"a\": 2}`", "null", r#"{"b":1,"a":2}"#)]
#[case::merged("merge(@, {c: `1`, b: `2`})", r#"{"b": 1, "a": 2}"#, r#"{"b":2,"a":2,"c":1}"#)]
#[case::many_members(
    "keys(@)",
    r#"{"i":0,"h":0,"g":0,"f":0,"e":0,"d":0,"c":0,"b":0,"a":0}"#,
    r#"["i","h","g","f","e","d","c","b","a"]"#
)]
fn members_keep_their_order(#[case] expression: &str, #[case] data: &str, #[case] expected: &str) {
    check(expression, data, expected);
}

#[rstest]
#[case::sum("sum(@)", "[1, 2, 3]", "6")]
#[case::sum_of_nothing("sum(@)", "[]", "0")]
#[case::sum_with_a_fraction("sum(@)", "[1, 0.5]", "1.5")]
#[case::sum_beyond_64_bits("sum(@)", "[9223372036854775807, 1]", "9223372036854775808")]
#[case::sum_as_text("to_string(sum(@))", "[1, 2, 3]", r#""6""#)]
#[case::abs("abs(@)", "-7", "7")]
#[case::abs_of_a_fraction("abs(@)", "-7.5", "7.5")]
#[case::ceil("ceil(@)", "1.5", "2")]
#[case::ceil_of_a_whole_number("ceil(@)", "-3", "-3")]
#[case::ceil_to_zero("ceil(@)", "-0.5", "0")]
#[case::floor("floor(@)", "2.5", "2")]
#[case::floor_beyond_64_bits("floor(@)", "1e300", "1e+300")]
#[case::floor_of_every_digit(
    "floor(@)",
    "-1234567890123456789012345678901234567890",
    "-1234567890123456789012345678901234567890"
)]
#[case::every_digit_as_text(
    "to_string(@)",
    "1234567890123456789012345678901234567890",
    r#""1234567890123456789012345678901234567890""#
)]
#[case::floor_as_a_position("insertString('abcdef', '-', floor(@))", "2.5", r#""ab-cdef""#)]
#[case::avg("avg(@)", "[1, 2]", "1.5")]
#[case::avg_of_nothing("avg(@)", "[]", "null")]
fn whole_numbers_stay_whole(#[case] expression: &str, #[case] data: &str, #[case] expected: &str) {
    check(expression, data, expected);
}

#[rstest]
#[case::whole("a", "123456789012345678901234567890")]
#[case::fraction("a", "98.60")]
#[case::power("a", "1e3")]
#[case::negative_zero("a", "-0")]
#[case::through_a_list("[a][0]", "98.60")]
#[case::through_a_function("max([a, `1`])", "98.60")]
fn a_number_that_passes_through_keeps_its_text(#[case] expression: &str, #[case] number: &str) {
    check(expression, &format!(r#"{{"a": {number}}}"#), number);
}

#[rstest]
#[case::fraction("a == `98.6`", "98.60", "true")]
#[case::whole_as_a_fraction("a == `1`", "1.0", "true")]
#[case::order("a > `98.5`", "98.60", "true")]
#[case::every_digit("a == `123456789012345678901234567890`", "123456789012345678901234567891", "false")]
#[case::every_digit_of_64_bits("a > `9007199254740992`", "9007199254740993", "true")]
#[case::calculated("add(a, `0`)", "98.60", "98.6")]
fn comparing_and_calculating_use_the_value(#[case] expression: &str, #[case] number: &str, #[case] expected: &str) {
    check(expression, &format!(r#"{{"a": {number}}}"#), expected);
}

#[rstest]
#[case("add(a, `1`)")]
#[case("subtract(`1`, a)")]
#[case("multiply(a, `0.5`)")]
#[case("divide(a, `2`)")]
#[case("pow(a, `2`)")]
#[case("insertString('a', 'b', a)")]
#[case("fromUnixTimestamp(a)")]
#[case("fromUnixTimestampMs(a)")]
fn what_is_calculated_has_to_fit_into_64_bits(#[case] expression: &str) {
    for compatibility in [Standard, Upstream] {
        let data = r#"{"a": 123456789012345678901234567890}"#;
        let error = evaluate(expression, data, compatibility).unwrap_err();
        assert!(error.to_string().contains("64 bits"), "{error}");
    }
}

const NESTED: &str = r#"{"a": {"b": 1, "c": []}, "l": [0], "e": [], "o": {}}"#;

#[rstest]
#[case::there("!a.b", "false")]
#[case::not_there("!a.x", "true")]
#[case::chain("!a.c.d", "true")]
#[case::twice("!!a.b", "true")]
#[case::index("!l[0]", "false")]
#[case::index_in_a_chain("!a.c[0]", "true")]
#[case::wildcard("!l[*]", "false")]
#[case::wildcard_of_nothing("!e[*]", "true")]
#[case::wildcard_in_a_chain("!a.c[*].d", "true")]
#[case::members("!a.*", "false")]
#[case::no_members("!o.*", "true")]
#[case::flattened("!l[]", "false")]
#[case::nothing_flattened("!e[]", "true")]
#[case::filtered("!l[?@ == `0`]", "false")]
#[case::nothing_filtered("!l[?@ == `1`]", "true")]
#[case::put_together("!a.[b]", "false")]
#[case::a_pipe_ends_it("!a.x | [@]", "[true]")]
#[case::and_ends_it("!a.x && a.b", "1")]
#[case::a_comparison_ends_it("!a.x == `true`", "true")]
#[case::in_a_filter("l[?!a.b]", "[0]")]
#[case::in_an_argument("map(&!b.c, @.l)", "[true]")]
#[case::parentheses_end_it("(!a).b", "null")]
#[case::parentheses_end_it_before_a_projection("(!a)[]", "null")]
#[case::parentheses_within("!(a).b", "false")]
#[case::a_quoted_parenthesis("!a.\")\"", "true")]
#[case::an_escaped_quotation_mark("!a.\"\\\")\"", "true")]
fn a_negation_is_of_all_that_follows(#[case] expression: &str, #[case] expected: &str) {
    check(expression, NESTED, expected);
}

#[rstest]
#[case::length("length(@)", "3")]
#[case::inserted_at_the_end("insertString(@, '-', length(@))", r#""a😀-""#)]
#[case::reversed("reverse(@)", r#""😀a""#)]
fn positions_count_utf_16(#[case] expression: &str, #[case] expected: &str) {
    check(expression, r#""a😀""#, expected);
}

#[rstest]
#[case::divided(Standard, "divide(abs(`-7`), `2`)", Ok("3.5"))]
#[case::divided_upstream(Upstream, "divide(abs(`-7`), `2`)", Ok("3"))]
#[case::power(Standard, "pow(`3`, `39`)", Ok("4052555153018976267"))]
#[case::power_upstream(Upstream, "pow(`3`, `39`)", Ok("4052555153018976256"))]
#[case::power_too_large(Upstream, "pow(`2`, `63`)", Err("doesn't fit"))]
#[case::negative_power(Standard, "pow(`2`, `-1`)", Ok("0.5"))]
#[case::power_of_one(Standard, "pow(`-1`, `-3`)", Ok("-1"))]
#[case::power_of_zero(Standard, "pow(`0`, `-1`)", Err("doesn't fit"))]
#[case::power_of_the_smallest(Standard, "pow(`-9223372036854775808`, `-1`)", Ok("-1.0842021724855044e-19"))]
#[case::negative_power_upstream(Upstream, "pow(`2`, `-1`)", Ok("0"))]
#[case::fraction_of_a_second(Standard, "fromUnixTimestamp(`1625677200.5`)", Ok("\"2021-07-07T17:00:00.5Z\""))]
#[case::no_fraction_upstream(Upstream, "fromUnixTimestamp(`1625677200.5`)", Err("whole number"))]
#[case::no_fraction_of_milliseconds_upstream(Upstream, "fromUnixTimestampMs(`0.5`)", Err("whole number"))]
#[case::first_second(Standard, "fromUnixTimestamp(`-62135596800`)", Ok("\"0001-01-01T00:00:00Z\""))]
#[case::before_it(Standard, "fromUnixTimestamp(`-62135596801`)", Err("between the years"))]
#[case::before_it_upstream(Upstream, "fromUnixTimestampMs(`-62135596800001`)", Err("between the years"))]
#[case::as_text(Standard, "to_string(`98.60`)", Ok("\"98.60\""))]
#[case::as_text_upstream(Upstream, "to_string(`98.60`)", Ok("\"98.6\""))]
fn upstream_calculates_otherwise(
    #[case] compatibility: Compatibility,
    #[case] expression: &str,
    #[case] expected: Result<&str, &str>,
) {
    match (evaluate(expression, "null", compatibility), expected) {
        (Ok(result), Ok(expected)) => assert_eq!(result, expected),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
        (result, _) => panic!("{result:?}"),
    }
}
