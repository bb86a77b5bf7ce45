//! Literal references: what a text such as `Patient/1` or `https://a.example/fhir/Patient/1/_history/2` names.

use fhir_definitions::{Definitions, ResourceType};

/// A reference to a resource by type and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Literal<'t> {
    /// Everything before the type, without its last slash; `None` for a relative reference.
    pub base: Option<&'t str>,
    /// The type of the resource.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: &'t str,
    /// The version, where one is named.
    pub version: Option<&'t str>,
}

/// Reads a literal reference. `None` for fragments, URNs, conditional references, plain URLs and anything else that
/// names no resource of a known type.
pub fn literal<'t>(text: &'t str, definitions: &'static Definitions) -> Option<Literal<'t>> {
    let (path, version) = match text.rsplit_once("/_history/") {
        Some((path, version)) if is_id(version) => (path, Some(version)),
        Some(_) => return None,
        None => (text, None),
    };
    let (rest, id) = path.rsplit_once('/')?;
    let (base, name) = match rest.rsplit_once('/') {
        Some((base, name)) if base.starts_with("http://") || base.starts_with("https://") => (Some(base), name),
        Some(_) => return None,
        None => (None, rest),
    };
    let resource_type = definitions.resource_type(name)?;
    is_id(id).then_some(Literal {
        base,
        resource_type,
        id,
        version,
    })
}

/// FHIR's rule for logical ids: 1 to 64 ASCII letters, digits, `-` and `.`.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}
