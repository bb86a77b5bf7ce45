//! What `Facts.java` prints.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub structures: Vec<StructureFact>,
    pub value_sets: Vec<ValueSetFact>,
    pub code_systems: Vec<CodeSystemFact>,
    /// The same value sets and code systems as FHIR JSON, without what only people read.
    pub terminology: Vec<serde_json::Value>,
    /// Profiles and definitions of extensions as FHIR JSON: what of their differentials can be checked.
    pub profiles: Vec<serde_json::Value>,
    pub compartments: Vec<CompartmentFact>,
    /// HL7's bundle of `SearchParameters` (R4), or a list of annotations (STU3).
    pub search_parameters: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StructureFact {
    pub url: String,
    pub name: String,
    pub kind: String,
    pub r#abstract: Option<String>,
    pub base_definition: Option<String>,
    pub derivation: Option<String>,
    pub elements: Vec<ElementFact>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ElementFact {
    pub path: String,
    pub min: Option<String>,
    pub max: Option<String>,
    pub content_reference: Option<String>,
    pub is_modifier: Option<String>,
    pub is_summary: Option<String>,
    pub types: Vec<TypeFact>,
    pub strength: Option<String>,
    pub value_set: Option<String>,
    pub constraints: Vec<ConstraintFact>,
}

#[derive(Deserialize)]
pub struct TypeFact {
    pub code: Option<String>,
    pub targets: Vec<String>,
}

#[derive(Deserialize)]
pub struct ConstraintFact {
    pub key: String,
    pub severity: String,
    pub human: String,
    pub expression: Option<String>,
}

#[derive(Deserialize)]
pub struct ValueSetFact {
    pub url: String,
    pub include: Vec<PartFact>,
    pub exclude: Vec<PartFact>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartFact {
    pub system: Option<String>,
    pub codes: Vec<String>,
    pub value_sets: Vec<String>,
    pub filters: Vec<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
pub struct CodeSystemFact {
    pub url: String,
    pub content: Option<String>,
    pub concepts: Vec<ConceptFact>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConceptFact {
    pub code: String,
    #[serde(default)]
    pub concepts: Vec<ConceptFact>,
    #[serde(default)]
    pub subsumed_by: Vec<String>,
}

#[derive(Deserialize)]
pub struct CompartmentFact {
    pub code: String,
    pub resources: Vec<MemberFact>,
}

#[derive(Deserialize)]
pub struct MemberFact {
    pub code: String,
    pub params: Vec<String>,
}

pub fn read(json: &[u8]) -> Result<Facts> {
    Ok(serde_json::from_slice(json)?)
}
