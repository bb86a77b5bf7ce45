//! Which types a reference parameter leads to.

use fhir_definitions::SearchParameter;

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
