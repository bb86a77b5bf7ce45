//! HL7's own examples keep the rules, but for those that HL7 itself got wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fhir_definitions::FhirVersion;
use fhir_resource::validation::{Knowledge, Library, NoTerminology, Severity, findings, validate};
use fhir_resource::{Document, Limits};
use rstest::rstest;

use crate::specification::Specification;

const R4: FhirVersion = FhirVersion::R4;
const STU3: FhirVersion = FhirVersion::Stu3;
/// 2026-11-25T12:00:00Z
const NOW: i64 = 1_795_608_000_000_000;

/// Examples with errors, which HL7's validator finds, too: the version, the file, and what is wrong.
const WRONG: &[(FhirVersion, &str, &str)] = &[
    (R4, "ActivityDefinition-heart-valve-replacement", "an empty narrative"),
    (R4, "EventDefinition-example", "an empty narrative"),
    (R4, "Questionnaire-qs1", "questions without `linkId`"),
    (STU3, "ActivityDefinition-heart-valve-replacement", "an empty narrative"),
    (STU3, "ImplementationGuide-fhir", "neither `name` nor `status`"),
    (STU3, "Patient-null", "a narrative in a contained resource"),
    (STU3, "Questionnaire-qs1", "questions without `linkId`"),
];

/// The folder with real data: `SHARED_DATA`, or `shared` beside the repository.
fn examples(version: FhirVersion) -> Option<Vec<PathBuf>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("SHARED_DATA").map_or_else(beside, PathBuf::from);
    let folder = root.join("fhir-examples").join(version.to_string().to_lowercase());
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!(
            "NOT RUN: `{}` is missing, name its parent by SHARED_DATA",
            folder.display()
        );
        return None;
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    Some(files)
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

#[rstest]
#[case(R4)]
#[case(STU3)]
fn examples_of_hl7(#[case] version: FhirVersion) {
    let Some(files) = examples(version) else { return };
    let library = Library::default();
    let knowledge = Knowledge {
        definitions: version.definitions(),
        library: &library,
        profiles: &Specification::of(version),
        terminology: &NoTerminology,
        now: NOW,
    };
    let mut errors: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut count, mut bytes, begun) = (0, 0, processor_time());
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        if name.starts_with("Parameters-") {
            continue;
        }
        let document = Document::parse(std::fs::read(&file).expect("a file"), Limits::default()).expect("JSON");
        let mut issues = validate(version.definitions(), document.root());
        issues.extend(findings(&knowledge, &document, &[]).issues);
        (count, bytes) = (count + 1, bytes + document.text().len());
        for issue in issues {
            let costly = issue.code == "too-costly" || issue.code == "processing";
            if issue.severity == Severity::Error || costly {
                let text = format!("{}: {}", issue.expression, issue.diagnostics);
                errors.entry(name.clone()).or_default().push(text);
            }
        }
    }
    let each = processor_time().saturating_sub(begun) / u32::try_from(count.max(1)).unwrap_or(1);
    println!(
        "{version}: {count} examples of {bytes} bytes, {each:?} of CPU each, {} bytes of rules",
        library.bytes()
    );
    assert!(count > 300, "only {count} examples");
    for (_, name, _) in WRONG.iter().filter(|(of, ..)| *of == version) {
        assert!(
            errors.remove(*name).is_some(),
            "{name} has no errors, take it from the list"
        );
    }
    assert!(errors.is_empty(), "{errors:#?}");
}
