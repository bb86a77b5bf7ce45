//! Whole patients as transaction bundles: Synthea's, again and again with new ids, or made ones where those aren't.

mod stu3;

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use anyhow::{Result, bail};
use serde_json::Value;

/// Which FHIR version is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 4.0.1
    R4,
    /// 3.0.2
    Stu3,
}

impl Version {
    /// As the server's option has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::R4 => "R4",
            Self::Stu3 => "STU3",
        }
    }
}

impl std::str::FromStr for Version {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "R4" => Ok(Self::R4),
            "STU3" => Ok(Self::Stu3),
            _ => bail!("`{text}` is neither R4 nor STU3"),
        }
    }
}

/// A patient with all that belongs to them.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// A transaction.
    pub text: String,
    /// Its entries.
    pub resources: usize,
    identifier: String,
    patient: String,
    observations: Observations,
}

/// Code, date and text of each; patients with other ids share them.
pub type Observations = Arc<[(String, String, String)]>;

/// A patient that is on the server.
#[derive(Debug, Clone)]
pub struct Known {
    /// The id that the server gave.
    pub id: String,
    /// A value that no other patient has.
    pub identifier: String,
    /// The Patient as it was sent.
    pub patient: String,
    /// Their observations.
    pub observations: Observations,
}

impl Bundle {
    /// The patient under the id that the server gave.
    pub fn known(&self, id: String) -> Known {
        Known {
            id,
            identifier: self.identifier.clone(),
            patient: self.patient.clone(),
            observations: Arc::clone(&self.observations),
        }
    }
}

/// The id of the first entry's patient, from the answer to a transaction.
pub fn patient_of(answer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(answer).ok()?;
    let rest = text.split("Patient/").nth(1)?;
    rest.split(['/', '"']).next().map(str::to_owned)
}

/// Where bundles come from.
pub struct Data {
    first: Vec<String>,
    patients: Vec<Bundle>,
    /// Resources given so far.
    pub loaded: usize,
    given: usize,
    version: Version,
}

impl Data {
    /// Synthea's bundles, which are R4 and converted for STU3; without them patients are made.
    pub fn read(version: Version) -> Result<Self> {
        let synthea = fhir_cases::shared::synthea()?;
        let mut data = Self {
            first: Vec::new(),
            patients: Vec::new(),
            loaded: 0,
            given: 0,
            version,
        };
        for file in synthea.into_iter().flatten() {
            let bundle: Value = serde_json::from_str(&file.text)?;
            let bundle = match version {
                Version::R4 => bundle,
                Version::Stu3 => stu3::converted(bundle),
            };
            if bundle["type"] == "transaction" {
                data.patients.push(read(&bundle));
            } else {
                data.loaded += entries(&bundle).count();
                data.first.push(bundle.to_string());
            }
        }
        Ok(data)
    }

    /// What patients refer to.
    pub fn first(&self) -> Vec<String> {
        self.first.clone()
    }

    /// So many patients.
    pub fn few(&mut self, patients: usize) -> Vec<Bundle> {
        (0..patients).flat_map(|_| self.next(1)).collect()
    }

    /// At least one bundle, and not many more than so many resources.
    pub fn next(&mut self, resources: usize) -> Vec<Bundle> {
        let (mut bundles, mut sum) = (Vec::new(), 0);
        while bundles.len() < 40 && sum < resources {
            let bundle = match self.patients.get(self.given % self.patients.len().max(1)) {
                Some(known) => renamed(known, self.given),
                None => made(self.given, self.version),
            };
            self.given += 1;
            sum += bundle.resources;
            bundles.push(bundle);
        }
        self.loaded += sum;
        bundles
    }
}

fn entries(bundle: &Value) -> impl Iterator<Item = &Value> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    entries.map(|entry| &entry["resource"])
}

fn read(bundle: &Value) -> Bundle {
    let mut observations = Vec::new();
    let mut patient = &Value::Null;
    for resource in entries(bundle) {
        match resource["resourceType"].as_str() {
            Some("Patient") => patient = resource,
            Some("Observation") => {
                let text = |pointer: &str| resource.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                let (code, date) = (text("/code/coding/0/code"), text("/effectiveDateTime"));
                observations.push((code.to_owned(), date.to_owned(), resource.to_string()));
            }
            _ => {}
        }
    }
    // one in Synthea's own system, equal to the id
    let identifier = patient["id"].as_str().unwrap_or_default().to_owned();
    Bundle {
        text: bundle.to_string(),
        resources: entries(bundle).count(),
        identifier,
        patient: patient.to_string(),
        observations: observations.into(),
    }
}

/// The same patient as somebody else.
fn renamed(bundle: &Bundle, number: usize) -> Bundle {
    let identifier = format!("{}{number:08x}", bundle.identifier.get(..28).unwrap_or_default());
    Bundle {
        text: bundle.text.replace(&bundle.identifier, &identifier),
        patient: bundle.patient.replace(&bundle.identifier, &identifier),
        identifier,
        ..bundle.clone()
    }
}

const CODES: [&str; 12] = [
    "8867-4", "8480-6", "8462-4", "29463-7", "8302-2", "2339-0", "718-7", "2093-3", "2085-9", "4548-4", "9279-1",
    "8310-5",
];

/// A patient of our own making: 1 Patient, 4 Encounters, 60 Observations.
fn made(number: usize, version: Version) -> Bundle {
    let identifier = format!("made-{number:08}");
    let patient = format!(
        r#"{{"resourceType":"Patient","identifier":[{{"system":"http://hospital.example.org/mrn","value":"{identifier}"}}],"active":true,"name":[{{"use":"official","family":"Family{}","given":["Given{}"]}}],"gender":"{}","birthDate":"19{:02}-0{}-1{}"}}"#,
        number % 97,
        number % 89,
        if number.is_multiple_of(2) { "female" } else { "male" },
        number % 90 + 10,
        number % 9 + 1,
        number % 10,
    );
    let me = format!("urn:uuid:00000000-0000-4000-8000-{number:012x}");
    let mut text = format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[{{"fullUrl":"{me}","resource":{patient},"request":{{"method":"POST","url":"Patient"}}}}"#
    );
    let class = match version {
        Version::R4 => r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}"#,
        Version::Stu3 => r#"{"system":"http://hl7.org/fhir/v3/ActCode","code":"AMB"}"#,
    };
    for visit in 0..4 {
        // a String takes everything
        let _ = write!(
            text,
            r#",{{"resource":{{"resourceType":"Encounter","status":"finished","class":{class},"subject":{{"reference":"{me}"}},"period":{{"start":"20{:02}-03-1{visit}T08:00:00+01:00","end":"20{:02}-03-1{visit}T09:00:00+01:00"}}}},"request":{{"method":"POST","url":"Encounter"}}}}"#,
            number % 20 + 5,
            number % 20 + 5,
        );
    }
    let mut observations = Vec::new();
    for index in 0..60 {
        let n = number * 60 + index;
        let (code, date) = (
            CODES[n % 12],
            format!(
                "20{:02}-0{}-1{}T08:{:02}:00+01:00",
                n % 20 + 5,
                n % 9 + 1,
                n % 10,
                n % 60
            ),
        );
        let observation = format!(
            r#"{{"resourceType":"Observation","status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}","display":"A measurement"}}],"text":"A measurement"}},"subject":{{"reference":"{me}"}},"effectiveDateTime":"{date}","issued":"{date}","valueQuantity":{{"value":{}.{},"unit":"mg/dL","system":"http://unitsofmeasure.org","code":"mg/dL"}}}}"#,
            n % 300,
            n % 10,
        );
        let _ = write!(
            text,
            r#",{{"resource":{observation},"request":{{"method":"POST","url":"Observation"}}}}"#
        );
        observations.push((code.to_owned(), date, observation));
    }
    text.push_str("]}");
    Bundle {
        text,
        resources: 65,
        identifier,
        patient,
        observations: observations.into(),
    }
}

/// A resource whose references lead to a patient that is on the server, and to nobody else.
pub fn about(observation: &str, patient: &str) -> String {
    let Ok(mut resource) = serde_json::from_str::<Value>(observation) else {
        return observation.to_owned();
    };
    if let Some(members) = resource.as_object_mut() {
        for member in ["id", "encounter", "context", "performer"] {
            members.shift_remove(member);
        }
        members.insert(
            "subject".to_owned(),
            serde_json::json!({"reference": format!("Patient/{patient}")}),
        );
    }
    resource.to_string()
}

/// Codes by how many observations have them.
pub fn frequent(known: &[Known]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for (code, ..) in known.iter().flat_map(|patient| patient.observations.iter()) {
        *counts.entry(code).or_default() += 1;
    }
    let mut codes: Vec<_> = counts.into_iter().collect();
    codes.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
    codes.into_iter().map(|(code, _)| code.to_owned()).collect()
}
