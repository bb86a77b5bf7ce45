//! JSON → XML → JSON and back again: generated resources of every type, HL7's own examples, whole patients.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use fhir_definitions::FhirVersion;
use fhir_resource::xml::{self, Style};
use fhir_resource::{Document, Limits};
use proptest::prelude::*;
use rstest::rstest;

use crate::generated;

fn parse(json: Vec<u8>) -> Document {
    Document::parse(json, Limits::default()).expect("JSON")
}

/// The same values come back.
fn assert_same(version: FhirVersion, document: &Document, what: &str) -> (Vec<u8>, Document) {
    let definitions = version.definitions();
    let written = xml::write_text(definitions, document.text(), Style::default());
    let written = written.unwrap_or_else(|error| panic!("{what}: {error}"));
    let json = xml::read(definitions, &written, Limits::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let again = parse(json);
    assert!(
        document.root().same(again.root()),
        "{what}:\n{}\n{}",
        document.text(),
        again.text()
    );
    (written, again)
}

/// The same values come back, and the same XML from them.
fn assert_round_trip(version: FhirVersion, document: &Document, what: &str) {
    let definitions = version.definitions();
    let style = |pretty| Style { pretty, lossy: false };
    let (written, again) = assert_same(version, document, what);
    let read = |xml: &[u8]| xml::read(definitions, xml, Limits::default());
    let whole = xml::write(definitions, document.root(), style(false)).expect("it was written before");
    assert_eq!(written, whole, "{what}: entry by entry and at once");
    let pretty = xml::write(definitions, document.root(), style(true)).expect("it was written before");
    let pretty = read(&pretty).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(
        again.text().as_bytes(),
        pretty,
        "{what}: white space for people changes nothing"
    );
    let rewritten = xml::write(definitions, again.root(), style(false)).expect("XML");
    assert_eq!(written, rewritten, "{what}: XML → JSON → XML");
}

proptest! {
    #[test]
    fn generated_resources((version, json) in generated::resource()) {
        assert_round_trip(version, &parse(json.into_bytes()), "generated");
    }

    #[test]
    fn hostile_xml_ends_in_an_error(text in "(<|>|/|\"|'|=|&|;|!|\\[|\\]|-|[?]| |Patient|name|div|xmlns|:|CDATA|\\PC){0,40}") {
        for version in [FhirVersion::R4, FhirVersion::Stu3] {
            let _ = xml::read(version.definitions(), text.as_bytes(), Limits::default());
            let inside = format!("<Patient xmlns=\"http://hl7.org/fhir\">{text}</Patient>");
            if let Ok(json) = xml::read(version.definitions(), inside.as_bytes(), Limits::default()) {
                prop_assert!(Document::parse(json, Limits::default()).is_ok(), "{}", inside);
            }
        }
    }

    #[test]
    fn any_narrative_becomes_xml(text in "(<|>|/|\"|'|=|&|;|!|--| |div|p|br|td|xmlns|:|nbsp|amp|#|1|\\PC|\u{0}){0,40}") {
        let definitions = FhirVersion::R4.definitions();
        let mut json = b"{\"resourceType\":\"Basic\",\"text\":{\"div\":".to_vec();
        fhir_resource::write_string(&text, &mut json);
        json.extend_from_slice(b"}}");
        let document = parse(json);
        let written = xml::write(definitions, document.root(), Style { pretty: false, lossy: true }).expect("lossy");
        // how deep narrative may be is said for reading alone
        let deep = Limits { depth: 1000, ..Limits::default() };
        let read = xml::read(definitions, &written, deep);
        prop_assert!(read.is_ok(), "{:?}\n{}", read, String::from_utf8_lossy(&written));
    }
}

/// The folder with real data: `SHARED_DATA`, or `shared` beside the repository. Absent, the test says that it didn't run.
fn real_data(folder: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("SHARED_DATA").map_or_else(beside, PathBuf::from);
    let found = Some(root.join(folder)).filter(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!(
            "NOT RUN: `{}` is missing, name its parent by SHARED_DATA",
            root.join(folder).display()
        );
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("folder");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

#[rstest]
#[case("fhir-examples/r4", FhirVersion::R4, 300)]
#[case("fhir-examples/stu3", FhirVersion::Stu3, 300)]
fn examples_of_hl7(#[case] folder: &str, #[case] version: FhirVersion, #[case] at_least: usize) {
    let Some(folder) = real_data(folder) else { return };
    let files = files(&folder);
    assert!(files.len() >= at_least, "{} files", files.len());
    for file in files {
        let document = parse(std::fs::read(&file).expect("file"));
        let expected = tidied(version, &document);
        assert_round_trip(version, &expected, &file.display().to_string());
    }
}

#[test]
fn whole_patients() {
    let Some(folder) = real_data("synthea") else { return };
    for file in files(&folder) {
        if file.extension().is_none_or(|extension| extension != "bz2") {
            continue;
        }
        let packed = std::fs::File::open(&file).expect("file");
        let mut json = Vec::new();
        bzip2_rs::DecoderReader::new(packed)
            .read_to_end(&mut json)
            .expect("bzip2");
        assert_same(FhirVersion::R4, &parse(json), &file.display().to_string());
    }
}

/// The document with its narratives as XML has them: examples write them as browsers read them, here and there.
fn tidied(version: FhirVersion, document: &Document) -> Document {
    let definitions = version.definitions();
    let written = xml::write(definitions, document.root(), Style::default()).expect("XML");
    let again = parse(xml::read(definitions, &written, Limits::default()).expect("JSON"));
    assert!(same_but_narrative(document.root(), again.root()));
    again
}

fn same_but_narrative(left: fhir_resource::Node<'_>, right: fhir_resource::Node<'_>) -> bool {
    if left.is_object() {
        return left.entries().count() == right.entries().count()
            && left.entries().all(|(name, value)| {
                right.get(&name).is_some_and(|twin| {
                    (name == "div" && value.as_str().is_some() && twin.as_str().is_some())
                        || same_but_narrative(value, twin)
                })
            });
    }
    if left.is_array() {
        return left.items().count() == right.items().count()
            && left
                .items()
                .zip(right.items())
                .all(|(left, right)| same_but_narrative(left, right));
    }
    left.same(right)
}
