//! Which types a reference parameter leads to, and how a reference says where.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fhir_definitions::{Definitions, FhirVersion, ParamKind, ResourceType, SearchParameter};
use fhir_resource::path::Program;

use crate::key::ParamId;
use crate::parameters::Parameters;

/// How an expression narrows its references.
const NARROWED: &str = "resolve() is ";

/// The types that a reference parameter may lead to; empty: any. What its expression says counts for more than the list
/// beside it: `patient` is `subject.where(resolve() is Patient)`, though groups are listed.
pub fn of(parameter: SearchParameter) -> Vec<&'static str> {
    let named = parameter.expression().split(NARROWED).skip(1);
    let named = named.filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next());
    let named: Vec<_> = named.filter(|name| !name.is_empty()).collect();
    if named.is_empty() {
        parameter.targets().collect()
    } else {
        named
    }
}

/// How the values of a parameter say where they lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// By type and id.
    pub by_id: bool,
    /// By the URL of the target: canonicals.
    pub by_url: bool,
}

/// How a reference parameter says where it leads, by the types of its values.
pub fn ways(definitions: &'static Definitions, parameter: SearchParameter) -> Ways {
    static KNOWN: Mutex<Option<HashMap<(FhirVersion, ParamId), Ways>>> = Mutex::new(None);
    let id = ParamId::of(parameter);
    // the number of a stored one means something else in another database
    if id.is_stored() {
        return compiled(definitions, parameter);
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_with(HashMap::new);
    *known
        .entry((definitions.version(), id))
        .or_insert_with(|| compiled(definitions, parameter))
}

fn compiled(definitions: &'static Definitions, parameter: SearchParameter) -> Ways {
    let program = Program::compile(parameter.expression(), definitions, parameter.base());
    let gives = |wanted: &[&str]| {
        let mut types = program.iter().flat_map(Program::result_types);
        types.any(|name| wanted.contains(&name))
    };
    let by_url = gives(&["canonical", "uri"]);
    Ways {
        by_id: gives(&["Reference"]) || !by_url,
        by_url,
    }
}

/// The parameter that has the URL of resources of a type, if they have one.
pub fn url(known: &Parameters, of: ResourceType) -> Option<ParamId> {
    let url = known.find(of, "url").filter(|url| url.kind() == ParamKind::Uri)?;
    Some(ParamId::of(url))
}
