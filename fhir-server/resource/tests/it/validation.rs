//! What is refused, where and with which words; and that HL7's own shapes are not.

use fhir_definitions::FhirVersion;
use fhir_resource::validation::{self, Severity};
use fhir_resource::{Document, Limits};
use proptest::prelude::*;
use rstest::rstest;

const R4: FhirVersion = FhirVersion::R4;
const STU3: FhirVersion = FhirVersion::Stu3;

fn issues(version: FhirVersion, json: &str) -> Vec<String> {
    let document = Document::parse(json, Limits::default()).expect(json);
    let issues = validation::validate(version.definitions(), document.root());
    issues
        .iter()
        .map(|issue| {
            format!(
                "{} {} {}: {}",
                issue.severity.code(),
                issue.code,
                issue.expression,
                issue.diagnostics
            )
        })
        .collect()
}

#[rstest]
#[case(r#"{"resourceType":"Patient"}"#)]
#[case(r#"{"resourceType":"Patient","active":true,"birthDate":"1974","deceasedDateTime":"2015-02-07T13:28:17-05:00"}"#)]
#[case(r#"{"resourceType":"Patient","name":[{"given":["A",null,"C"],"_given":[null,{"extension":[{"url":"http://e","valueString":"u"}]},null]}]}"#)]
#[case(r#"{"resourceType":"Patient","_birthDate":{"extension":[{"url":"http://e","valueDecimal":1.0}]}}"#)]
#[case(r##"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o"}],"managingOrganization":{"reference":"#o"}}"##)]
#[case(r#"{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"http://e","extension":[{"url":"a","valueInteger":-1}]}]}"#)]
#[case(r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>A<br>B<img src='a.png' alt=\"\"/><p>C</div>"}}"#)]
#[case(r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div>%3Cscript src=http://attacker%3E and 'DROP TABLE' &lt;script&gt;</div>"}}"#)]
#[case(r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">\n    </div>"}}"#)]
#[case(r#"{"resourceType":"Patient","photo":[{"contentType":"image/x-own","data":"SGVs bG8=","language":"en"}]}"#)]
fn accepted(#[case] json: &str, #[values(R4, STU3)] version: FhirVersion) {
    assert_eq!(issues(version, json), Vec::<String>::new());
}

#[rstest]
#[case(r"[]", "error structure : a resource must be an object, not an array")]
#[case(r#"{"id":"x"}"#, "error structure : a resource must have a `resourceType`")]
#[case(
    r#"{"resourceType":"Clinic"}"#,
    "error not-supported : Resource type 'Clinic' is not supported."
)]
#[case(
    r#"{"resourceType":"Patient","nme":[]}"#,
    "error structure Patient.nme: Encountered unknown element 'nme' while parsing."
)]
#[case(
    r#"{"resourceType":"Patient","_name":{}}"#,
    "error structure Patient._name: Encountered unknown element '_name' while parsing."
)]
#[case(
    r#"{"resourceType":"Patient","name":[{"family":"a","given":[""]}]}"#,
    "error value Patient.name[0].given[0]: `string` must not be empty"
)]
#[case(
    r#"{"resourceType":"Patient","name":{"family":"a"}}"#,
    "error structure Patient.name: this element may repeat, so it must be an array"
)]
#[case(
    r#"{"resourceType":"Patient","birthDate":["1974"]}"#,
    "error structure Patient.birthDate: this element can't repeat, so it must not be an array"
)]
#[case(
    r#"{"resourceType":"Patient","name":[]}"#,
    "error structure Patient.name: an array must have at least one item"
)]
#[case(
    r#"{"resourceType":"Patient","name":[{}]}"#,
    "error structure Patient.name[0]: an object must have at least one member"
)]
#[case(
    r#"{"resourceType":"Patient","name":[null]}"#,
    "error structure Patient.name[0]: `null` is no value, leave the element out"
)]
#[case(
    r#"{"resourceType":"Patient","name":[{"given":["A",null]}]}"#,
    "error structure Patient.name[0].given[1]: `null` is no value, leave the element out"
)]
#[case(
    r#"{"resourceType":"Patient","birthDate":null}"#,
    "error structure Patient.birthDate: `null` is no value, leave the element out"
)]
#[case(
    r#"{"resourceType":"Patient","active":"true"}"#,
    "error structure Patient.active: `boolean` must be a boolean, not a string"
)]
#[case(
    r#"{"resourceType":"Patient","birthDate":"1974-13-01"}"#,
    "error value Patient.birthDate: The date time string '1974-13-01' is not in a correct format."
)]
#[case(
    r#"{"resourceType":"Patient","deceasedDateTime":"2021-10-13+02:00"}"#,
    "error value Patient.deceasedDateTime: The date time string '2021-10-13+02:00' is not in a correct format."
)]
#[case(
    r#"{"resourceType":"Patient","gender":"Male"}"#,
    "error code-invalid Patient.gender: Literal 'Male' is not a valid code of the value set 'http://hl7.org/fhir/ValueSet/administrative-gender"
)]
#[case(
    r#"{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2015"}"#,
    "error structure Patient.deceasedDateTime: `deceasedBoolean` and `deceasedDateTime` exclude each other"
)]
#[case(
    r#"{"resourceType":"Patient","multipleBirthInteger":1.5}"#,
    "error value Patient.multipleBirthInteger: Literal '1.5' is not in a correct format for `integer`."
)]
#[case(
    r#"{"resourceType":"Patient","telecom":[{"rank":0}]}"#,
    "error value Patient.telecom[0].rank: Literal '0' is not in a correct format for `positiveInt`."
)]
#[case(
    r#"{"resourceType":"Patient","id":"a_b"}"#,
    "error value Patient.id: Id must be any combination of upper or lower case ASCII letters"
)]
#[case(
    r#"{"resourceType":"Patient","implicitRules":"http://a b"}"#,
    "error value Patient.implicitRules: Literal 'http://a b' is not in a correct format for `uri`."
)]
#[case(
    r#"{"resourceType":"Patient","extension":[{"valueString":"x"}]}"#,
    "error required Patient.extension[0].url: Element with min. cardinality 1 cannot be null."
)]
#[case(
    r#"{"resourceType":"Patient","name":[{"family":"a\u0000b"}]}"#,
    "error value Patient.name[0].family: Literal 'a\u{0}b' is not in a correct format for `string`."
)]
#[case(
    r#"{"resourceType":"Patient","photo":[{"data":"SGVsbG8"}]}"#,
    "error value Patient.photo[0].data: Literal 'SGVsbG8' is not in a correct format for `base64Binary`."
)]
#[case(
    r#"{"resourceType":"Patient","contained":[{"resourceType":"Organization","nme":"x"}]}"#,
    "error structure Patient.contained[0].nme: Encountered unknown element 'nme' while parsing."
)]
#[case(
    r#"{"resourceType":"Patient","_birthDate":{"x":1}}"#,
    "error structure Patient.birthDate.x: Encountered unknown element 'x' while parsing."
)]
#[case(
    r#"{"resourceType":"Observation","status":"final"}"#,
    "error required Observation.code: Element with min. cardinality 1 cannot be null."
)]
#[case(
    r#"{"resourceType":"Patient","managingOrganization":{"reference":"Patient/1"}}"#,
    "warning value Patient.managingOrganization.reference: a reference to `Patient` is not expected here, but to Organization"
)]
#[case(
    r#"{"resourceType":"Patient","text":{"status":"generated","div":"plain words"}}"#,
    "error invalid Patient.text.div: XHTML content should be contained within a single <div> element."
)]
#[case(
    r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div>a</div><div>b</div>"}}"#,
    "error invalid Patient.text.div: XHTML content should be contained within a single <div> element."
)]
#[case(
    r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div> </div>"}}"#,
    "error invalid Patient.text.div: The div element must not be empty or only whitespace."
)]
#[case(
    r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div><script>x</script></div>"}}"#,
    "error invalid Patient.text.div: Illegal element name 'SCRIPT'."
)]
#[case(
    r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div onclick='x'>a</div>"}}"#,
    "error invalid Patient.text.div: Illegal attribute name 'onclick' on element 'DIV'."
)]
#[case(
    r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div><img src='javascript:x'/></div>"}}"#,
    "error invalid Patient.text.div: Illegal attribute name 'src' on element 'IMG'."
)]
#[case(
    r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div><b>a</i></div>"}}"#,
    "error invalid Patient.text.div: Error while parsing XHTML: the closing tag `i` does not match an open element. Line: 1 Col: 14."
)]
fn refused(#[case] json: &str, #[case] expected: &str, #[values(R4, STU3)] version: FhirVersion) {
    let issues = issues(version, json);
    assert!(issues.len() == 1 && issues[0].starts_with(expected), "{issues:#?}");
}

#[rstest]
#[case(STU3, r#"{"resourceType":"MedicinalProduct"}"#)]
#[case(R4, r#"{"resourceType":"BodySite"}"#)]
#[case(
    R4,
    r#"{"resourceType":"Binary","contentType":"text/plain","content":"SGVsbG8gRkhJUg=="}"#
)]
#[case(
    STU3,
    r#"{"resourceType":"Binary","contentType":"text/plain","data":"SGVsbG8gRkhJUg=="}"#
)]
fn versions_differ(#[case] version: FhirVersion, #[case] json: &str) {
    assert!(!issues(version, json).is_empty());
}

#[test]
fn complaints_are_bounded() {
    let members: Vec<String> = (0..10_000).map(|index| format!("\"x{index}\":1")).collect();
    assert_eq!(
        issues(R4, &format!("{{\"resourceType\":\"Patient\",{}}}", members.join(","))).len(),
        100
    );
    let tags = "<x y='z'>".repeat(5_000);
    let json = format!(r#"{{"resourceType":"Patient","text":{{"status":"generated","div":"<div>{tags}</div>"}}}}"#);
    assert!(issues(R4, &json).len() <= 100);
}

proptest! {
    #[test]
    fn narrative_never_panics(div in "(<|>|/|div|p|br|a|=|'|\\\\\"|!|-|\\?| |é|&|script){0,30}") {
        let json = format!(r#"{{"resourceType":"Patient","text":{{"status":"generated","div":"<div>{div}</div>"}}}}"#);
        let _ = issues(R4, &json);
    }

    #[test]
    fn any_member_of_any_kind_is_judged(
        name in "(_?(id|meta|name|gender|contained|text|deceasedBoolean|photo|link|extension|birthDate))|\\PC{0,3}",
        value in "(null|1|true|\"a\"|\\[\\]|\\{\\}|\\[null\\]|\\[\\[1\\]\\]|\\{\"a\":1\\}|\\[\\{\"url\":\"u\"\\}\\])",
    ) {
        let json = format!("{{\"resourceType\":\"Patient\",{}:{value}}}", serde_json::to_string(&name).expect("name"));
        if let Ok(document) = Document::parse(json, Limits::default()) {
            let issues = validation::validate(R4.definitions(), document.root());
            prop_assert!(issues.iter().all(|issue| issue.severity == Severity::Error));
        }
    }
}

#[rstest]
#[case(r#"{"resourceType":"Patient","link":[{"type":"seealso"}]}"#, true)]
#[case(r#"{"resourceType":"Observation","status":"final"}"#, false)]
#[case(r#"{"resourceType":"Patient","name":[{"extension":[{"valueCode":"x"}]}]}"#, false)]
fn writes_tolerate_what_lacks_below_the_top(#[case] json: &str, #[case] tolerated: bool) {
    let document = Document::parse(json, Limits::default()).expect(json);
    let issues = validation::validate(R4.definitions(), document.root());
    assert_eq!(
        (issues.len(), issues[0].code, validation::refuses(&issues)),
        (1, "required", !tolerated)
    );
}
