//! JSON Patch and FHIRPath Patch, as tables over one resource.

use fhir_definitions::{Definitions, FhirVersion};
use fhir_resource::{Document, Limits, patch};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

fn document(value: &str) -> Document {
    Document::parse(value.to_owned(), Limits::default()).expect("JSON")
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","extension":[{"url":"http://x","valueDecimal":1.50}],"name":[{"use":"official","family":"Marl\u006fwe","given":["Hedwig","Jo"],"_given":[null,{"id":"j"}]},{"use":"usual","given":["Hetty"]}],"gender":"male","_gender":{"id":"g"},"birthDate":"1974-12-25","deceasedBoolean":false}"#;

/// What a JSON patch leaves, with what it changed alone; or the error.
fn by_json(operations: &str) -> Result<String, String> {
    let (resource, operations) = (document(PATIENT), document(operations));
    let patched = patch::json(resource.root(), operations.root()).map_err(|error| error.to_string())?;
    Ok(patched.into_text())
}

#[rstest]
#[case::replaces(
    r#"[{"op":"replace","path":"/gender","value":"female"}]"#,
    r#""gender":"male""#,
    r#""gender":"female""#
)]
#[case::adds_to_a_list(
    r#"[{"op":"add","path":"/name/0/given/-","value":"X"}]"#,
    r#""Hedwig","Jo"]"#,
    r#""Hedwig","Jo","X"]"#
)]
#[case::inserts(
    r#"[{"op":"add","path":"/name/0/given/0","value":"X"}]"#,
    r#"["Hedwig""#,
    r#"["X","Hedwig""#
)]
#[case::adds_a_member(
    r#"[{"op":"add","path":"/active","value":true}]"#,
    r#""deceasedBoolean":false"#,
    r#""deceasedBoolean":false,"active":true"#
)]
#[case::removes(r#"[{"op":"remove","path":"/birthDate"}]"#, r#""birthDate":"1974-12-25","#, "")]
#[case::what_becomes_empty_goes_too(
    r#"[{"op":"remove","path":"/extension/0"}]"#,
    r#""extension":[{"url":"http://x","valueDecimal":1.50}],"#,
    ""
)]
#[case::copies(
    r#"[{"op":"copy","from":"/name/0/family","path":"/name/1/family"}]"#,
    r#""given":["Hetty"]"#,
    r#""given":["Hetty"],"family":"Marl\u006fwe""#
)]
#[case::tests_and_keeps(
    r#"[{"op":"test","path":"/name/1","value":{"given":["Hetty"],"use":"usual"}}]"#,
    "",
    ""
)]
#[case::tests_what_is_patched(
    r#"[{"op":"replace","path":"/gender","value":"other"},{"op":"test","path":"/gender","value":"other"}]"#,
    r#""male""#,
    r#""other""#
)]
fn json_patch(#[case] operations: &str, #[case] old: &str, #[case] new: &str) {
    assert_eq!(by_json(operations), Ok(PATIENT.replacen(old, new, 1)));
}

#[test]
fn json_patch_moves() {
    let moved = by_json(r#"[{"op":"move","from":"/name/1","path":"/name/0"}]"#).expect("moved");
    let moved: Value = serde_json::from_str(&moved).unwrap();
    assert_eq!(moved["name"][0]["given"], json!(["Hetty"]));
    assert_eq!(moved["name"][1]["use"], json!("official"));
}

#[rstest]
#[case(r#"{"op":"add"}"#, "A JSON Patch must be an array of operations.")]
#[case(r#"[{"path":"/gender"}]"#, "An operation of a JSON Patch needs an `op`.")]
#[case(
    r#"[{"op":"coo","path":"/gender","value":"female"}]"#,
    "Invalid JsonPatch operation 'coo'."
)]
#[case(
    r#"[{"op":"replace","path":"/gender"}]"#,
    "A JSON Patch replace operation needs a `value`."
)]
#[case(r#"[{"op":"replace","value":1}]"#, "A JSON Patch replace operation needs `path`.")]
#[case(
    r#"[{"op":"replace","path":"gender","value":1}]"#,
    "The path 'gender' is no JSON pointer."
)]
#[case(
    r#"[{"op":"replace","path":"/maritalStatus","value":1}]"#,
    "The target location specified by path '/maritalStatus' was not found."
)]
#[case(
    r#"[{"op":"remove","path":"/name/2"}]"#,
    "The target location specified by path '/name/2' was not found."
)]
#[case(
    r#"[{"op":"add","path":"/name/3","value":{}}]"#,
    "The target location specified by path '/name/3' was not found."
)]
#[case(
    r#"[{"op":"add","path":"/name/01","value":{}}]"#,
    "The target location specified by path '/name/01' was not found."
)]
#[case(
    r#"[{"op":"add","path":"/contact/0/x","value":{}}]"#,
    "The target location specified by path '/contact/0/x' was not found."
)]
#[case(
    r#"[{"op":"test","path":"/gender","value":"female"}]"#,
    "The value at '/gender' is not equal to the value of the test operation."
)]
#[case(
    r#"[{"op":"move","from":"/name","path":"/name/0"}]"#,
    "A JSON Patch move operation can't move a value into itself."
)]
fn json_patch_refuses(#[case] operations: &str, #[case] message: &str) {
    assert_eq!(by_json(operations), Err(message.to_owned()));
}

fn operation(kind: &str, path: &str, rest: &Value) -> Value {
    let mut part = vec![
        json!({"name": "type", "valueCode": kind}),
        json!({"name": "path", "valueString": path}),
    ];
    part.extend(rest.as_array().into_iter().flatten().cloned());
    json!({"name": "operation", "part": part})
}

fn by_fhirpath(operations: &[Value]) -> Result<String, String> {
    let parameters = json!({"resourceType": "Parameters", "parameter": operations}).to_string();
    let (resource, parameters) = (document(PATIENT), document(&parameters));
    let patched = patch::fhirpath(Definitions::of(FhirVersion::R4), resource.root(), parameters.root());
    Ok(patched.map_err(|error| error.to_string())?.into_text())
}

#[rstest]
#[case::replace("replace", "Patient.birthDate", json!([{"name": "value", "valueDate": "2000-01-01"}]), "1974-12-25", "2000-01-01")]
#[case::replace_with_its_extensions("replace", "Patient.gender", json!([{"name": "value", "valueCode": "other"}]), r#""gender":"male","_gender":{"id":"g"}"#, r#""gender":"other""#)]
#[case::another_type_of_a_choice("replace", "Patient.deceased", json!([{"name": "value", "valueDateTime": "2020"}]), r#""deceasedBoolean":false"#, r#""deceasedDateTime":"2020""#)]
#[case::one_of_a_list("replace", "Patient.name.where(use = 'usual').given[0]", json!([{"name": "value", "valueString": "X"}]), "Hetty", "X")]
#[case::beside_extensions("replace", "Patient.name[0].given[1]", json!([{"name": "value", "valueString": "X"}]), r#""Jo"],"_given":[null,{"id":"j"}]"#, r#""X"]"#)]
#[case::add_to_a_list("add", "Patient.name[1]", json!([{"name": "name", "valueString": "given"}, {"name": "value", "valueString": "X"}]), r#"["Hetty"]"#, r#"["Hetty","X"]"#)]
#[case::add_a_choice("add", "Patient", json!([{"name": "name", "valueString": "multipleBirth"}, {"name": "value", "valueInteger": 2}]), "false}", r#"false,"multipleBirthInteger":2}"#)]
#[case::add_what_has_no_data_type("add", "Patient", json!([{"name": "name", "valueString": "communication"}, {"name": "value", "part": [
    {"name": "language", "valueCodeableConcept": {"text": "en"}}, {"name": "preferred", "valueBoolean": true}]}]),
    "false}", r#"false,"communication":[{"language":{"text":"en"},"preferred":true}]}"#)]
#[case::insert("insert", "Patient.name[0].given", json!([{"name": "index", "valueInteger": 1}, {"name": "value", "valueString": "X"}]),
    r#""Hedwig","Jo"],"_given":[null,{"id":"j"}]"#, r#""Hedwig","X","Jo"],"_given":[null,null,{"id":"j"}]"#)]
#[case::insert_the_first("insert", "Patient.name[1].prefix", json!([{"name": "index", "valueInteger": 0}, {"name": "value", "valueString": "X"}]), r#"["Hetty"]"#, r#"["Hetty"],"prefix":["X"]"#)]
#[case::delete("delete", "Patient.gender", json!([]), r#""gender":"male","_gender":{"id":"g"},"#, "")]
#[case::delete_one_of_a_list("delete", "Patient.name[0].given[0]", json!([]), r#""Hedwig","Jo"],"_given":[null,{"id":"j"}]"#, r#""Jo"],"_given":[{"id":"j"}]"#)]
#[case::delete_the_last("delete", "Patient.extension('http://x')", json!([]), r#""extension":[{"url":"http://x","valueDecimal":1.50}],"#, "")]
#[case::delete_nothing("delete", "Patient.maritalStatus", json!([]), "", "")]
#[case::shift("move", "Patient.name[0].given", json!([{"name": "source", "valueInteger": 1}, {"name": "destination", "valueInteger": 0}]),
    r#""Hedwig","Jo"],"_given":[null,{"id":"j"}]"#, r#""Jo","Hedwig"],"_given":[{"id":"j"},null]"#)]
#[case::upsert_what_is_there("upsert", "Patient.birthDate", json!([{"name": "value", "valueDate": "2000"}]), "1974-12-25", "2000")]
#[case::upsert_what_is_not("upsert", "Patient.active", json!([{"name": "value", "valueBoolean": true}]), "false}", r#"false,"active":true}"#)]
#[case::upsert_by_name_what_is_there("upsert", "Patient", json!([{"name": "name", "valueString": "birthDate"}, {"name": "value", "valueDate": "2000"}]), "1974-12-25", "2000")]
#[case::upsert_by_name_what_is_not("upsert", "Patient", json!([{"name": "name", "valueString": "active"}, {"name": "value", "valueBoolean": true}]), "false}", r#"false,"active":true}"#)]
fn fhirpath_patch(#[case] kind: &str, #[case] path: &str, #[case] rest: Value, #[case] old: &str, #[case] new: &str) {
    assert_eq!(
        by_fhirpath(&[operation(kind, path, &rest)]),
        Ok(PATIENT.replacen(old, new, 1))
    );
}

#[rstest]
#[case("replace", "Patient.birthDate", json!([{"name": "value", "valueString": "abc"}]), "Invalid input for birthDate at Patient.birthDate when processing patch replace operation.")]
#[case("replace", "Patient.birthDate", json!([]), "Patch replace operations must have the 'value' part.")]
#[case("replace", "Patient.maritalStatus", json!([{"name": "value", "valueString": "abc"}]), "No content found at Patient.maritalStatus when processing patch replace operation.")]
#[case("replace", "Patient.name", json!([{"name": "value", "valueHumanName": {}}]), "Multiple matches found at Patient.name when processing patch replace operation.")]
#[case("replace", "Patient.deceased", json!([{"name": "value", "valueQuantity": {}}]), "Invalid input for deceased at Patient.deceased when processing patch replace operation.")]
#[case("delete", "Patient.name", json!([]), "Multiple matches found at Patient.name when processing patch delete operation.")]
#[case("add", "Patient", json!([{"name": "value", "valueCode": "x"}]), "Patch add operations must have the 'name' part.")]
#[case("add", "Patient", json!([{"name": "name", "valueString": "gender"}, {"name": "value", "valueCode": "x"}]), "Existing element gender found at Patient when processing patch add operation.")]
#[case("add", "Patient", json!([{"name": "name", "valueString": "deceased"}, {"name": "value", "valueDateTime": "2020"}]), "Existing element deceased found at Patient when processing patch add operation.")]
#[case("add", "Patient", json!([{"name": "name", "valueString": "colour"}, {"name": "value", "valueCode": "x"}]), "Element colour not found at Patient when processing patch add operation.")]
#[case("add", "Patient.contact", json!([{"name": "name", "valueString": "gender"}, {"name": "value", "valueCode": "x"}]), "No content found at Patient.contact when processing patch add operation.")]
#[case("insert", "Patient.name", json!([{"name": "index", "valueInteger": 3}, {"name": "value", "valueHumanName": {"text": "x"}}]), "Index 3 out of bounds when processing patch insert operation.")]
#[case("insert", "Patient.name[0]", json!([{"name": "index", "valueInteger": 0}, {"name": "value", "valueHumanName": {"text": "x"}}]), "The path of a patch insert operation must end with the name of a list.")]
#[case("insert", "Patient.gender", json!([{"name": "index", "valueInteger": 0}, {"name": "value", "valueCode": "x"}]), "Invalid input for gender at Patient.gender when processing patch insert operation.")]
#[case("move", "Patient.name", json!([{"name": "source", "valueInteger": 2}, {"name": "destination", "valueInteger": 0}]), "Index 2 out of bounds when processing patch move operation.")]
#[case("move", "Patient.contact", json!([{"name": "source", "valueInteger": 0}, {"name": "destination", "valueInteger": 0}]), "No content found at Patient.contact when processing patch move operation.")]
#[case("shift", "Patient.name", json!([]), "Invalid patch operation type: 'shift'. Only 'add', 'insert', 'delete', 'replace', 'upsert', and 'move' are allowed.")]
#[case("replace", "Patient.gender", json!([{"name": "value", "valueString": "mail"}]), "Invalid input for gender at Patient.gender when processing patch replace operation.")]
#[case("add", "Patient", json!([{"name": "name", "valueString": "link"}, {"name": "value", "part": [{"name": "kind", "valueCode": "refer"}]}]), "Element kind not found at Patient when processing patch add operation.")]
#[case("upsert", "Patient.contact", json!([{"name": "name", "valueString": "gender"}, {"name": "value", "valueCode": "male"}]), "No content found at Patient.contact when processing patch upsert operation.")]
#[case("delete", "Patient.name[", json!([]), "The path 'Patient.name[' of a patch delete operation is not supported: the expression can't be read at ``.")]
fn fhirpath_patch_refuses(#[case] kind: &str, #[case] path: &str, #[case] rest: Value, #[case] message: &str) {
    assert_eq!(by_fhirpath(&[operation(kind, path, &rest)]), Err(message.to_owned()));
}

#[test]
fn each_operation_sees_what_those_before_it_did() {
    let operations = [
        operation("delete", "Patient.name.where(use = 'usual')", &json!([])),
        operation(
            "replace",
            "Patient.name.family",
            &json!([{"name": "value", "valueString": "X"}]),
        ),
    ];
    let patched: Value = serde_json::from_str(&by_fhirpath(&operations).expect("patched")).unwrap();
    assert_eq!(patched["name"].as_array().map(Vec::len), Some(1));
    assert_eq!(patched["name"][0]["family"], "X");
}

#[rstest]
#[case(r#"{"resourceType":"Patient"}"#, "A FHIRPath Patch must be a Parameters resource.")]
#[case(
    r#"{"resourceType":"Parameters"}"#,
    "A FHIRPath Patch has between one and 1000 parameters named 'operation'."
)]
#[case(
    r#"{"resourceType":"Parameters","parameter":[{"name":"op"}]}"#,
    "Each parameter of a FHIRPath Patch must be named 'operation'."
)]
#[case(
    r#"{"resourceType":"Parameters","parameter":[{"name":"operation"}]}"#,
    "Patch operations must have the 'type' part."
)]
fn no_patch_at_all(#[case] parameters: &str, #[case] message: &str) {
    let (resource, parameters) = (document(PATIENT), document(parameters));
    let error = patch::fhirpath(Definitions::of(FhirVersion::R4), resource.root(), parameters.root());
    assert_eq!(
        error.map(Document::into_text).map_err(|error| error.to_string()),
        Err(message.to_owned())
    );
}

#[rstest]
#[case("/id", false)]
#[case("/resourceType", false)]
#[case("/meta", false)]
#[case("/text", false)]
#[case("/gender", true)]
fn what_may_change(#[case] path: &str, #[case] may: bool) {
    let before = document(
        r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"1"},"text":{"status":"generated","div":"<div/>"},"gender":"male"}"#,
    );
    let operations = document(&json!([{"op": "remove", "path": path}]).to_string());
    let after = patch::json(before.root(), operations.root()).expect("patched");
    assert_eq!(patch::keeps_immutable(before.root(), after.root()), may);
}

proptest! {
    /// What a patch does, the contrary undoes.
    #[test]
    fn an_addition_and_its_removal_leave_the_same(name in "[a-z]{1,8}", at in 0_usize..3, text in "\\PC{1,20}") {
        let value = json!({"text": text});
        let there_and_back = json!([
            {"op": "add", "path": format!("/name/{at}"), "value": value},
            {"op": "test", "path": format!("/name/{at}"), "value": value},
            {"op": "add", "path": format!("/x{name}"), "value": value},
            {"op": "move", "from": format!("/x{name}"), "path": format!("/y{name}")},
            {"op": "remove", "path": format!("/y{name}")},
            {"op": "remove", "path": format!("/name/{at}")},
        ]);
        prop_assert_eq!(by_json(&there_and_back.to_string()), Ok(PATIENT.to_owned()));
    }
}
