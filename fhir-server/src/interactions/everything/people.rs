//! The patient of `$everything`, other records of the same person, and what they refer to.

use std::collections::BTreeSet;

use fhir_resource::{Document, Limits, Node, reference};
use fhir_search::Access;
use fhir_storage::{Kind, Version};

use crate::http::failure::Result;
use crate::interactions::read;
use crate::interactions::searchset::Mode;
use crate::server::Server;

/// Members of a patient whose references are followed.
const REFERENCES: [&str; 2] = ["generalPractitioner", "managingOrganization"];

/// Whom a request is about.
pub struct People {
    /// The patient and other records of the same person. One that is deleted still has a compartment.
    pub ids: Vec<String>,
    /// The record that has replaced this one.
    pub replaced_by: Option<String>,
    /// Those of them that are there.
    records: Vec<Version>,
}

impl People {
    /// Reads the patient and those that `link.type=seealso` names, as far as they are seen.
    pub async fn of(server: &Server, access: &Access, id: &str) -> Result<Self> {
        let mut people = Self {
            ids: vec![id.to_owned()],
            replaced_by: None,
            records: Vec::new(),
        };
        let Some(patient) = live(server, access, "Patient", id).await? else {
            return Ok(people);
        };
        let document = Document::parse(patient.body.clone(), Limits::default())?;
        people.records.push(patient);
        for link in document.root().get("link").into_iter().flat_map(Node::items) {
            let other = link.get("other").and_then(|other| target(server, other));
            let Some((of, other)) = other else { continue };
            match link.text_of("type").as_deref() {
                Some("replaced-by") => people.replaced_by = Some(other),
                Some("seealso") if of == "Patient" && !people.ids.contains(&other) => {
                    people.records.extend(live(server, access, "Patient", &other).await?);
                    people.ids.push(other);
                }
                _ => {}
            }
        }
        Ok(people)
    }

    /// The records and what they refer to, each once.
    pub async fn shown(&self, server: &Server, visible: &Access) -> Result<Vec<(Version, Mode)>> {
        let mut shown = Vec::new();
        let mut seen = BTreeSet::new();
        for record in &self.records {
            shown.push((record.clone(), Mode::Match));
            let document = Document::parse(record.body.clone(), Limits::default())?;
            let members = REFERENCES.iter().filter_map(|name| document.root().get(name));
            for node in members.flat_map(Node::each) {
                let Some((of, id)) = target(server, node) else { continue };
                if seen.insert((of, id.clone())) {
                    shown.extend(
                        live(server, visible, of, &id)
                            .await?
                            .map(|version| (version, Mode::Include)),
                    );
                }
            }
        }
        Ok(shown)
    }
}

async fn live(server: &Server, access: &Access, of: &str, id: &str) -> Result<Option<Version>> {
    let found = read::seen(server, access, of, id).await?;
    Ok(found.filter(|version| version.kind != Kind::Deleted))
}

/// The type and id that a reference names.
fn target(server: &Server, node: Node<'_>) -> Option<(&'static str, String)> {
    let text = node.text_of("reference")?;
    let literal = reference::literal(&text, server.definitions)?;
    Some((literal.resource_type.name(), literal.id.to_owned()))
}
