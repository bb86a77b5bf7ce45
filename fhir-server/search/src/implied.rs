//! The system that a value of type `code` leaves unsaid: the one of its element's binding (FHIR, "Using codes").
//!
//! Such values are indexed without a system, so a search that names the right one looks for that key, too.

use fhir_definitions::{Definitions, Element, SearchParameter};

/// Whether values of the parameter are codes of which `code` belongs to `system` by definition.
pub fn implies(parameter: SearchParameter, system: &str, code: &str) -> bool {
    let expression = parameter.expression();
    expression.split('|').any(|path| {
        let element = element_at(parameter, path.trim());
        let element = element.filter(|element| element.structure().name() == "code");
        let binding = element.and_then(Element::binding);
        binding.and_then(|binding| binding.system_of(code)) == Some(system)
    })
}

/// The element that a plain path `Type.member.member` leads to, in the type that the parameter is of.
fn element_at(parameter: SearchParameter, path: &str) -> Option<Element> {
    let mut names = path.split('.');
    let of = names.next().filter(|name| *name == parameter.base())?;
    let mut structure = Definitions::of(parameter.version()).structure(of)?;
    let mut found = None;
    for name in names {
        let element = structure.element(name)?;
        structure = element.structure();
        found = Some(element);
    }
    found
}
