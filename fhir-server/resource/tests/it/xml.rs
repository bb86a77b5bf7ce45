//! FHIR XML against JSON, by tables: what is the same, what is refused and where.

use fhir_definitions::FhirVersion;
use fhir_resource::xml::{self, ReadError, Style, WriteError};
use fhir_resource::{Document, Limits};
use rstest::rstest;

const R4: FhirVersion = FhirVersion::R4;
const STU3: FhirVersion = FhirVersion::Stu3;

fn read(version: FhirVersion, text: &str) -> Result<String, ReadError> {
    xml::read(version.definitions(), text.as_bytes(), Limits::default())
        .map(|json| String::from_utf8(json).expect("JSON is UTF-8"))
}

fn write(version: FhirVersion, json: &str, style: Style) -> Result<String, WriteError> {
    let document = Document::parse(json, Limits::default()).expect(json);
    let written = xml::write(version.definitions(), document.root(), style);
    written.map(|xml| String::from_utf8(xml).expect("XML is UTF-8"))
}

const PROLOG: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// Both ways: the text of one is the text of the other.
#[rstest]
#[case::nothing(r#"{"resourceType":"Patient"}"#, r#"<Patient xmlns="http://hl7.org/fhir"/>"#)]
#[case::primitives(
    r#"{"resourceType":"Patient","id":"p","active":true,"name":[{"family":"A & <B>","given":["\"C\"","D\tE\nF"]}],"birthDate":"1974-12-25"}"#,
    concat!(
        r#"<Patient xmlns="http://hl7.org/fhir"><id value="p"/><active value="true"/><name><family value="A &amp; &lt;B&gt;"/>"#,
        r#"<given value="&quot;C&quot;"/><given value="D&#9;E&#10;F"/></name><birthDate value="1974-12-25"/></Patient>"#
    )
)]
#[case::number_text(
    r#"{"resourceType":"Observation","status":"final","code":{"text":"c"},"valueQuantity":{"value":1.10},"component":[{"code":{"text":"e"},"valueQuantity":{"value":-0.0e-5}}]}"#,
    concat!(
        r#"<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="c"/></code>"#,
        r#"<valueQuantity><value value="1.10"/></valueQuantity><component><code><text value="e"/></code>"#,
        r#"<valueQuantity><value value="-0.0e-5"/></valueQuantity></component></Observation>"#
    )
)]
#[case::beside_values(
    r#"{"resourceType":"Patient","name":[{"id":"n","given":["A",null,"C"],"_given":[null,{"id":"g","extension":[{"url":"http://e","valueCode":"u"}]},null]}],"_birthDate":{"extension":[{"url":"http://e","valueDecimal":1.0}]}}"#,
    concat!(
        r#"<Patient xmlns="http://hl7.org/fhir"><name id="n"><given value="A"/><given id="g"><extension url="http://e">"#,
        r#"<valueCode value="u"/></extension></given><given value="C"/></name>"#,
        r#"<birthDate><extension url="http://e"><valueDecimal value="1.0"/></extension></birthDate></Patient>"#
    )
)]
#[case::value_and_extension(
    r#"{"resourceType":"Patient","birthDate":"1974","_birthDate":{"id":"b"}}"#,
    r#"<Patient xmlns="http://hl7.org/fhir"><birthDate value="1974" id="b"/></Patient>"#
)]
#[case::only_twins(
    r#"{"resourceType":"Patient","name":[{"_given":[{"id":"a"},{"id":"b"}]}]}"#,
    r#"<Patient xmlns="http://hl7.org/fhir"><name><given id="a"/><given id="b"/></name></Patient>"#
)]
#[case::resources_inside(
    r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o"}]}}]}"#,
    concat!(
        r#"<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/><entry><resource><Patient><contained>"#,
        r#"<Organization><id value="o"/></Organization></contained></Patient></resource></entry></Bundle>"#
    )
)]
#[case::narrative(
    r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">A <b>B</b>&#160;C<br/></div>"}}"#,
    concat!(
        r#"<Patient xmlns="http://hl7.org/fhir"><text><status value="generated"/>"#,
        r#"<div xmlns="http://www.w3.org/1999/xhtml">A <b>B</b>&#160;C<br/></div></text></Patient>"#
    )
)]
fn the_same(#[case] json: &str, #[case] xml: &str, #[values(R4, STU3)] version: FhirVersion) {
    assert_eq!(read(version, xml).expect(xml), json);
    assert_eq!(
        write(version, json, Style::default()).expect(json),
        format!("{PROLOG}{xml}")
    );
}

/// XML that is written in another way than ours, and the JSON that it is.
#[rstest]
#[case::prefix(
    r#"<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value='true'/></f:Patient>"#,
    r#"{"resourceType":"Patient","active":true}"#
)]
#[case::space_and_comments(
    "\u{feff}<?xml version='1.0'?>\r\n<!-- a -->\n<Patient xmlns=\"http://hl7.org/fhir\">\n <!-- b --> <active value=\"true\">\n</active>\n</Patient>\n<!-- c -->",
    r#"{"resourceType":"Patient","active":true}"#
)]
#[case::schema_location(
    r#"<Patient xmlns="http://hl7.org/fhir" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir ../fhir.xsd"/>"#,
    r#"{"resourceType":"Patient"}"#
)]
#[case::references(
    r#"<Patient xmlns="http://hl7.org/fhir"><name><family value="&#x48;&#105;&lt;&amp;&#x1F600;"/></name></Patient>"#,
    r#"{"resourceType":"Patient","name":[{"family":"Hi<&😀"}]}"#
)]
#[case::white_space_in_values(
    "<Patient xmlns=\"http://hl7.org/fhir\"><name><family value=\"a\tb\r\nc\"/></name></Patient>",
    r#"{"resourceType":"Patient","name":[{"family":"a b c"}]}"#
)]
#[case::div_with_prefixes(
    r#"<Patient xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><text><status value="generated"/><h:div><h:p title='"'>a</h:p><![CDATA[<b>]]></h:div></text></Patient>"#,
    r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p title='\"'>a</p>&lt;b&gt;</div>"}}"#
)]
fn other_ways(#[case] xml: &str, #[case] json: &str, #[values(R4, STU3)] version: FhirVersion) {
    assert_eq!(read(version, xml).expect(xml), json);
}

/// JSON that XML has in another way, and what comes back.
#[rstest]
#[case::order(
    r#"{"resourceType":"Patient","birthDate":"1974","active":true}"#,
    r#"{"resourceType":"Patient","active":true,"birthDate":"1974"}"#
)]
#[case::nulls_alone(
    r#"{"resourceType":"Patient","name":[{"given":[null],"_given":[{"id":"a"}]}]}"#,
    r#"{"resourceType":"Patient","name":[{"_given":[{"id":"a"}]}]}"#
)]
#[case::html(
    r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div><p>A<br>B&nbsp;<td nowrap>C & D</div>"}}"#,
    r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>A<br/>B<TNBSP><td nowrap=\"nowrap\">C &amp; D</td></p></div>"}}"#
)]
fn comes_back_as(#[case] json: &str, #[case] expected: &str) {
    let xml = write(R4, json, Style::default()).expect(json);
    assert_eq!(read(R4, &xml).expect(&xml), expected.replace("<TNBSP>", "\u{a0}"));
}

#[test]
fn pretty_is_for_people() {
    let json = r#"{"resourceType":"Patient","active":true,"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"> a\n</div>"}}"#;
    let style = Style {
        pretty: true,
        ..Style::default()
    };
    let expected = [
        PROLOG,
        r#"<Patient xmlns="http://hl7.org/fhir">"#,
        r"  <text>",
        r#"    <status value="generated"/>"#,
        "    <div xmlns=\"http://www.w3.org/1999/xhtml\"> a\n</div>",
        r"  </text>",
        r#"  <active value="true"/>"#,
        r"</Patient>",
    ];
    assert_eq!(write(R4, json, style).expect(json), expected.join("\n"));
}

#[rstest]
#[case::empty(" \n<!-- a -->", "line 2, position 11: the body is empty")]
#[case::words("hello", "line 1, position 1: the body must begin with an element")]
#[case::json(
    r#"{"resourceType":"Patient"}"#,
    "line 1, position 1: the body must begin with an element"
)]
#[case::doctype(
    "<!DOCTYPE Patient [<!ENTITY a \"b\">]><Patient/>",
    "line 1, position 1: document type declarations are not allowed, leave `<!DOCTYPE …>` out"
)]
#[case::encoding(
    "<?xml version=\"1.0\" encoding=\"latin1\"?><Patient/>",
    "line 1, position 31: the body must be UTF-8"
)]
#[case::version(
    "<?xml version=\"1.1\"?><Patient/>",
    "line 1, position 16: only XML 1.0 is supported"
)]
#[case::late_declaration(
    "\n<?xml version=\"1.0\"?><Patient/>",
    "line 2, position 1: the XML declaration must stand at the beginning"
)]
#[case::no_end(
    "<Patient xmlns=\"http://hl7.org/fhir\">\n",
    "line 1, position 1: the element `Patient` does not end (in `Patient`)"
)]
#[case::twice(
    "<Patient xmlns=\"http://hl7.org/fhir\"/>\n<Patient/>",
    "line 2, position 1: unexpected content after the resource"
)]
#[case::no_namespace(
    "<Patient/>",
    "line 1, position 1: the element `Patient` must be in the namespace `http://hl7.org/fhir`"
)]
#[case::prefix("<f:Patient/>", "line 1, position 1: the prefix `f` is not declared")]
#[case::type_name(
    "<Clinic xmlns=\"http://hl7.org/fhir\"/>",
    "line 1, position 1: Resource type 'Clinic' is not supported."
)]
fn refused(#[case] xml: &str, #[case] expected: &str, #[values(R4, STU3)] version: FhirVersion) {
    let error = read(version, xml).expect_err(xml);
    assert_eq!(error.to_string(), format!("invalid XML at {expected}"));
}

/// What stands in a Patient, from line 2 on.
#[rstest]
#[case::entity(
    "&nbsp;",
    "line 2, position 1: `&nbsp;` is neither a character reference nor one of `&lt;`, `&gt;`, `&amp;`, `&quot;`, `&apos;` (in `Patient`)"
)]
#[case::entity_in_value(
    "<active value=\"&x;\"/>",
    "line 2, position 16: `&x;` is neither a character reference nor one of `&lt;`, `&gt;`, `&amp;`, `&quot;`, `&apos;` (in `Patient.active`)"
)]
#[case::control("\u{1}", "line 2, position 1: the character U+0001 is not allowed in XML")]
#[case::wrong_end("\n</Q>", "line 3, position 1: expected `</Patient>`, found `</Q>` (in `Patient`)")]
#[case::unknown(
    "<name>\n  <nme value=\"x\"/></name>",
    "line 3, position 3: Encountered unknown element 'nme' while parsing. (in `Patient.name[0]`)"
)]
#[case::attribute(
    "<name uses=\"x\"/>",
    "line 2, position 1: Encountered unknown attribute 'uses' while parsing. (in `Patient.name[0]`)"
)]
#[case::id_of_resource(
    "<id id=\"x\" value=\"y\" url=\"z\"/>",
    "line 2, position 1: Encountered unknown attribute 'url' while parsing. (in `Patient.id`)"
)]
#[case::foreign_value(
    "<active xmlns:x=\"y\" x:value=\"true\"/>",
    "line 2, position 1: Encountered unknown attribute 'value' while parsing. (in `Patient.active`)"
)]
#[case::text(
    "<active>true</active>",
    "line 2, position 9: text is not allowed here, values are written as the attribute `value` (in `Patient.active`)"
)]
#[case::order(
    "<birthDate value=\"1\"/><active value=\"true\"/>",
    "line 2, position 23: the element `active` must come before `birthDate` (in `Patient`)"
)]
#[case::repeated(
    "<active value=\"true\"/><active value=\"true\"/>",
    "line 2, position 23: the element `active` can't repeat (in `Patient`)"
)]
#[case::scattered(
    "<telecom id=\"a\"/><gender value=\"x\"/><telecom id=\"b\"/>",
    "line 2, position 37: the element `telecom` must come before `gender` (in `Patient`)"
)]
#[case::choice(
    "<deceasedBoolean value=\"true\"/><deceasedDateTime value=\"1\"/>",
    "line 2, position 32: `deceasedBoolean` and `deceasedDateTime` exclude each other: only one may be present (in `Patient`)"
)]
#[case::hollow(
    "<name/>",
    "line 2, position 1: the element `name` is empty, leave it out or give it content (in `Patient.name[0]`)"
)]
#[case::hollow_value(
    "<active/>",
    "line 2, position 1: the element `active` is empty, leave it out or give it content (in `Patient.active`)"
)]
#[case::two_resources(
    "<contained><Basic/><Basic/></contained>",
    "line 2, position 1: the element `contained` must hold exactly one resource (in `Patient.contained[0]`)"
)]
#[case::boolean(
    "<active value=\"yes\"/>",
    "line 2, position 1: Literal 'yes' is not in a correct format for `boolean`. (in `Patient.active`)"
)]
#[case::integer(
    "<multipleBirthInteger value=\"+1\"/>",
    "line 2, position 1: Literal '+1' is not in a correct format for `integer`. (in `Patient.multipleBirthInteger`)"
)]
#[case::narrative(
    "<text><status value=\"x\"/><div>a</div></text>",
    "line 2, position 26: the element `div` must be in the namespace `http://www.w3.org/1999/xhtml` (in `Patient.text`)"
)]
#[case::foreign_in_narrative(
    "<text><div xmlns=\"http://www.w3.org/1999/xhtml\"><svg xmlns=\"s\"/></div></text>",
    "line 2, position 49: the element `svg` must be in the namespace `http://www.w3.org/1999/xhtml` (in `Patient.text.div`)"
)]
#[case::instruction(
    "<?php ?>",
    "line 2, position 1: processing instructions are not allowed in a resource (in `Patient`)"
)]
#[case::quotes(
    "<active value=true/>",
    "line 2, position 9: the value of an attribute must stand in quotes (in `Patient`)"
)]
#[case::same_attribute(
    "<active value=\"true\" value=\"true\"/>",
    "line 2, position 22: an attribute can't repeat (in `Patient`)"
)]
fn refused_inside(#[case] inside: &str, #[case] expected: &str, #[values(R4, STU3)] version: FhirVersion) {
    let xml = format!("<Patient xmlns=\"http://hl7.org/fhir\">\n{inside}\n</Patient>");
    let error = read(version, &xml).expect_err(&xml);
    assert_eq!(error.to_string(), format!("invalid XML at {expected}"));
}

#[test]
fn too_much_is_refused() {
    let small = Limits { bytes: 37, depth: 64 };
    let xml = "<Patient xmlns=\"http://hl7.org/fhir\"/>";
    let error = xml::read(R4.definitions(), xml.as_bytes(), small).expect_err("one byte too many");
    assert_eq!(
        error.to_string(),
        "invalid XML at line 1, position 1: the body has more than 37 bytes"
    );

    let nested = |levels: usize| {
        let (open, close) = ("<extension url=\"u\">", "</extension>");
        let inside = format!(
            "{}<valueCode value=\"c\"/>{}",
            open.repeat(levels),
            close.repeat(levels)
        );
        format!("<Patient xmlns=\"http://hl7.org/fhir\">{inside}</Patient>")
    };
    // a resource, and an array and an object for each extension
    let deepest = read(R4, &nested(31)).expect("63 levels");
    assert!(Document::parse(deepest, Limits::default()).is_ok());
    let error = read(R4, &nested(32)).expect_err("65 levels");
    assert!(error.to_string().contains("elements nest deeper than 64"), "{error}");

    let div = |levels: usize| {
        let inside = format!("{}{}", "<b>".repeat(levels), "</b>".repeat(levels));
        format!(
            "<Patient xmlns=\"http://hl7.org/fhir\"><text><div xmlns=\"http://www.w3.org/1999/xhtml\">{inside}</div></text></Patient>"
        )
    };
    assert!(read(R4, &div(63)).is_ok());
    assert!(
        read(R4, &div(64))
            .expect_err("deep")
            .to_string()
            .contains("deeper than 64")
    );

    let attributes: Vec<String> = (0..65).map(|number| format!(" xmlns:n{number}=\"u\"")).collect();
    let error = read(R4, &format!("<Patient{}/>", attributes.concat())).expect_err("many");
    assert!(
        error.to_string().contains("more than 64 attributes or namespaces"),
        "{error}"
    );
}

#[rstest]
#[case::unknown(
    r#"{"resourceType":"Patient","name":[{},{"nme":"x"}]}"#,
    "the element `nme` is unknown (in `Patient.name[1]`)"
)]
#[case::twin_of_object(
    r#"{"resourceType":"Patient","_name":[{"id":"x"}]}"#,
    "the element `_name` is unknown (in `Patient`)"
)]
#[case::no_type(r#"{"id":"x"}"#, "a resource must have a known `resourceType`")]
#[case::contained(
    r#"{"resourceType":"Patient","contained":[{"id":"x"}]}"#,
    "a resource must have a known `resourceType` (in `Patient.contained[0]`)"
)]
#[case::array(
    r#"{"resourceType":"Patient","active":[true]}"#,
    "an array is not expected here (in `Patient`)"
)]
#[case::object(
    r#"{"resourceType":"Patient","active":{}}"#,
    "an object is not expected here (in `Patient.active`)"
)]
#[case::null(
    r#"{"resourceType":"Patient","active":null}"#,
    "`null` is not expected here (in `Patient.active`)"
)]
#[case::character(
    r#"{"resourceType":"Patient","name":[{"family":"a\u0000"}]}"#,
    "the character U+0000 can't be written in XML (in `Patient.name[0].family`)"
)]
fn not_written(#[case] json: &str, #[case] expected: &str) {
    let error = write(R4, json, Style::default()).expect_err(json);
    assert_eq!(error.to_string(), expected);
}

#[test]
fn characters_that_xml_lacks_are_replaced_where_that_is_wanted() {
    let style = Style {
        lossy: true,
        ..Style::default()
    };
    let json = r#"{"resourceType":"Basic","id":"a\u0000\ufffe","text":{"div":"<div>\u0007</div>"}}"#;
    let xml = write(R4, json, style).expect(json);
    assert!(xml.contains("<id value=\"a\u{fffd}\u{fffd}\"/>"), "{xml}");
    assert!(xml.contains(">\u{fffd}</div>"), "{xml}");
}
