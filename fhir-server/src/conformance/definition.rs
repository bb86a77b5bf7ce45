//! A SearchParameter resource → what it defines, or why it is refused. The words are Microsoft's where there are any.

use fhir_definitions::{Definitions, FhirVersion, ParamKind, SearchParameter, StoredComponent, StoredParameter};
use fhir_resource::Node;
use fhir_resource::path::Program;
use fhir_search::Parameters;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::http::failure::{Failure, Result};

/// The longest URL of a definition (Microsoft's limit).
const LONGEST_URL: usize = 128;
/// What says how a search is answered: a parameter can't be called like that.
const TAKEN: [&str; 22] = [
    "_at",
    "_before",
    "_contained",
    "_containedType",
    "_content",
    "_count",
    "_elements",
    "_filter",
    "_format",
    "_has",
    "_include",
    "_list",
    "_not-referenced",
    "_pretty",
    "_query",
    "_revinclude",
    "_score",
    "_since",
    "_sort",
    "_summary",
    "_total",
    "_type",
];

/// What a SearchParameter defines for one base type, as the database keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Canonical URL.
    pub url: String,
    /// What a query calls it.
    pub code: String,
    /// Its type, as a code.
    pub kind: String,
    /// The type that it belongs to.
    pub base: String,
    /// FHIRPath.
    pub expression: String,
    /// Types that a reference may point to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Definition and expression of each part of a composite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<(String, String)>,
}

impl Definition {
    /// As a parameter, under the number that stands for it.
    pub fn parameter(&self, version: FhirVersion, number: u32) -> SearchParameter {
        let component = |(definition, expression): &(String, String)| StoredComponent {
            definition: definition.clone(),
            expression: expression.clone(),
        };
        let definition = StoredParameter {
            number,
            url: self.url.clone(),
            code: self.code.clone(),
            kind: ParamKind::of_code(&self.kind).unwrap_or(ParamKind::Special),
            base: self.base.clone(),
            expression: self.expression.clone(),
            targets: self.targets.clone(),
            components: self.components.iter().map(component).collect(),
        };
        SearchParameter::stored(version, definition)
    }
}

/// The parameter that comes with the program: when Azure API for FHIR lets a resource expire.
pub fn built_in() -> Definition {
    const EXTENSION: &str = "https://azurehealthcareapis.com/data-extensions/expiry-date";
    Definition {
        url: EXTENSION.to_owned(),
        code: "_expiryDate".to_owned(),
        kind: ParamKind::Date.code().to_owned(),
        base: "Resource".to_owned(),
        expression: format!("Resource.meta.extension('{EXTENSION}').value"),
        targets: Vec::new(),
        components: Vec::new(),
    }
}

/// What a SearchParameter that may be stored defines: nothing where it is retired or repeats one of FHIR's own. `others`
/// are the definitions of other resources.
pub fn read(known: &Parameters, others: &[&Definition], resource: Node<'_>) -> Result<Vec<Definition>> {
    let text = |name: &str| {
        let text = resource.text_of(name).map(std::borrow::Cow::into_owned);
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| refused(name, format!("SearchParameter.{name} is required.")))
    };
    let url = text("url")?;
    if !url.contains(':') {
        return Err(refused(
            "url",
            "SearchParameter.url must be an absolute URL.".to_owned(),
        ));
    }
    if url.chars().count() > LONGEST_URL {
        let text = format!("SearchParameter.url exceeds the maximum length limit of {LONGEST_URL}.");
        return Err(refused("url", text));
    }
    let definitions = known.definitions();
    let code = text("code")?;
    let kind = kind(&text("type")?)?;
    let bases = bases(definitions, resource)?;
    let expression = resource.text_of("expression").unwrap_or_default().into_owned();
    if definitions.all_search_parameters().any(|base| base.url() == url) {
        if bases
            .iter()
            .all(|base| is_copy(definitions, &url, &code, kind, base, &expression))
        {
            return Ok(Vec::new());
        }
        let text = format!(
            "The search parameter with Uri '{url}' is defined by the FHIR specification and cannot be updated or deleted. \
             Custom search parameters must use a different URL."
        );
        return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "not-supported", text));
    }
    if others.iter().any(|other| other.url == url) {
        let text = format!("A search parameter with the same definition URL '{url}' already exists.");
        return Err(refused("url", text));
    }
    if code.contains(['.', ':', '=', '&', ',', '|', '$', '\\']) {
        let text = format!("The code '{code}' can't be used in a search: it contains one of `.:=&,|$\\`.");
        return Err(refused("code", text));
    }
    if kind == ParamKind::Special {
        return Err(refused(
            "type",
            "Search parameters of type 'special' are not supported.",
        ));
    }
    if expression.is_empty() {
        let text = "SearchParameter.expression is required: the FHIRPath of what is searched.";
        return Err(refused("expression", text));
    }
    let targets: Vec<String> = texts(resource, "target");
    if let Some(unknown) = targets.iter().find(|name| definitions.resource_type(name).is_none()) {
        return Err(refused(
            "target",
            format!("Resource type '{unknown}' is not supported."),
        ));
    }
    let components = components(known, resource, kind)?;
    if resource.text_of("status").is_some_and(|status| status == "retired") {
        return Ok(Vec::new());
    }
    let each = bases.into_iter().map(|base| {
        let definition = Definition {
            url: url.clone(),
            code: code.clone(),
            kind: kind.code().to_owned(),
            base,
            expression: expression.clone(),
            targets: targets.clone(),
            components: components.clone(),
        };
        clash(definitions, others, &definition)?;
        compiles(definitions, &definition, kind)?;
        Ok(definition)
    });
    each.collect()
}

/// 400 about an element of the resource.
fn refused(element: &str, diagnostics: impl Into<String>) -> Failure {
    let mut failure = Failure::invalid(diagnostics);
    if let Some(issue) = failure.issues.first_mut() {
        issue.expression = format!("SearchParameter.{element}");
    }
    failure
}

fn texts(resource: Node<'_>, name: &str) -> Vec<String> {
    let each = resource.get(name).into_iter().flat_map(Node::each);
    each.filter_map(Node::as_str)
        .map(std::borrow::Cow::into_owned)
        .collect()
}

fn kind(code: &str) -> Result<ParamKind> {
    ParamKind::of_code(code)
        .ok_or_else(|| refused("type", format!("Search parameters of type '{code}' are not supported.")))
}

fn bases(definitions: &'static Definitions, resource: Node<'_>) -> Result<Vec<String>> {
    let mut bases = texts(resource, "base");
    bases.sort_unstable();
    bases.dedup();
    if bases.is_empty() {
        return Err(refused("base", "SearchParameter.base is required."));
    }
    let is_base =
        |name: &str| matches!(name, "Resource" | "DomainResource") || definitions.resource_type(name).is_some();
    match bases.iter().find(|name| !is_base(name)) {
        Some(unknown) => Err(refused("base", format!("Resource type '{unknown}' is not supported."))),
        None => Ok(bases),
    }
}

/// Whether FHIR itself says the same of a base type.
fn is_copy(
    definitions: &'static Definitions,
    url: &str,
    code: &str,
    kind: ParamKind,
    base: &str,
    expression: &str,
) -> bool {
    let mut all = definitions.all_search_parameters();
    all.any(|own| {
        let same_name = own.url() == url && own.base() == base && own.code() == code && own.kind() == kind;
        let program = |expression: &str| Program::compile(expression, definitions, base).ok();
        same_name && (own.expression() == expression || program(own.expression()) == program(expression))
    })
}

/// Definition and expression of each part.
fn components(known: &Parameters, resource: Node<'_>, kind: ParamKind) -> Result<Vec<(String, String)>> {
    let nodes: Vec<Node<'_>> = resource.get("component").into_iter().flat_map(Node::each).collect();
    if kind != ParamKind::Composite {
        return Ok(Vec::new());
    }
    if !(2..=3).contains(&nodes.len()) {
        let text = "A composite search parameter has two or three components.";
        return Err(refused("component", text));
    }
    let each = nodes.into_iter().map(|node| {
        // STU3 has a reference here
        let definition = node.get("definition");
        let url = definition.and_then(|d| d.as_str().or_else(|| d.text_of("reference")));
        let url = url.unwrap_or_default();
        let url = url.split_once('|').map_or(&*url, |(url, _)| url).to_owned();
        let part = known.with_url(&url);
        let usable = part.filter(|part| !matches!(part.kind(), ParamKind::Composite | ParamKind::Special));
        if usable.is_none() {
            let text = format!("The component '{url}' is no search parameter that a composite can be made of.");
            return Err(refused("component", text));
        }
        let expression = node.text_of("expression").unwrap_or_default().into_owned();
        Ok((url, expression))
    });
    each.collect()
}

/// Refuses a code that a type of the base has already.
fn clash(definitions: &'static Definitions, others: &[&Definition], wanted: &Definition) -> Result<()> {
    let taken = |base: &str| {
        let code = &wanted.code;
        let text =
            format!("A search parameter with the same code value '{code}' already exists for base type '{base}'.");
        Err(refused("code", text))
    };
    if TAKEN.contains(&wanted.code.as_str()) {
        return taken(&wanted.base);
    }
    for of in definitions.resource_types() {
        if !of.structure().is_a(&wanted.base) {
            continue;
        }
        let own = |other: &&&Definition| other.code == wanted.code && of.structure().is_a(&other.base);
        if definitions.search_parameter(of, &wanted.code).is_some() || others.iter().any(|other| own(&other)) {
            return taken(of.name());
        }
    }
    Ok(())
}

/// Refuses an expression that can't be evaluated, or that gives nothing of the parameter's type.
fn compiles(definitions: &'static Definitions, definition: &Definition, kind: ParamKind) -> Result<()> {
    let base = &definition.base;
    let program = Program::compile(&definition.expression, definitions, base).map_err(|error| {
        refused(
            "expression",
            format!("The expression can't be used for '{base}': {error}."),
        )
    })?;
    if kind == ParamKind::Composite {
        if definitions.resource_type(base).is_none() {
            let text = format!("A composite search parameter belongs to concrete types, not to '{base}'.");
            return Err(refused("base", text));
        }
        for (_, expression) in &definition.components {
            let text = |error| format!("The expression of a component can't be used: {error}.");
            program
                .component(expression)
                .map_err(|error| refused("component.expression", text(error)))?;
        }
        return Ok(());
    }
    let suits = |name: &str| suits(definitions, kind, name);
    if program.result_types().any(suits) {
        return Ok(());
    }
    let found: Vec<&str> = program.result_types().collect();
    let text = format!(
        "The expression gives values of {}: a search parameter of type '{}' can't use them.",
        if found.is_empty() {
            "no type".to_owned()
        } else {
            found.join(", ")
        },
        kind.code()
    );
    Err(refused("expression", text))
}

/// Whether values of a type have keys for a kind of parameter.
fn suits(definitions: &'static Definitions, kind: ParamKind, name: &str) -> bool {
    let structure = definitions.structure(name);
    let is_a = |base: &str| structure.is_some_and(|structure| structure.is_a(base));
    let is_primitive = structure.is_some_and(|s| s.kind() == fhir_definitions::StructureKind::Primitive);
    match kind {
        ParamKind::Number => matches!(name, "decimal" | "Range") || is_a("integer"),
        ParamKind::Date => matches!(name, "date" | "dateTime" | "instant" | "Period" | "Timing"),
        ParamKind::String => {
            matches!(name, "HumanName" | "Address") || is_a("string") || is_a("uri") || is_a("markdown")
        }
        ParamKind::Token => {
            is_primitive || matches!(name, "CodeableConcept" | "Coding" | "Identifier" | "ContactPoint")
        }
        ParamKind::Reference => name == "Reference" || is_a("uri"),
        ParamKind::Quantity => is_a("Quantity") || matches!(name, "Money" | "Range"),
        ParamKind::Uri => is_a("uri"),
        ParamKind::Composite | ParamKind::Special => false,
    }
}

#[cfg(test)]
mod tests {
    use fhir_resource::{Document, Limits};
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn with(changes: &Value) -> Value {
        let mut resource = json!({
            "resourceType": "SearchParameter", "url": "http://e/tier", "name": "tier", "status": "active",
            "code": "tier", "base": ["Patient"], "type": "string",
            "expression": "Patient.extension('http://e/tier').value",
        });
        for (name, value) in changes.as_object().expect("an object") {
            resource[name] = value.clone();
        }
        resource
    }

    fn verdict(version: FhirVersion, changes: &Value) -> Result<Vec<Definition>> {
        let known = Parameters::base(version.definitions());
        let other = Definition {
            url: "http://e/other".to_owned(),
            code: "other".to_owned(),
            kind: "token".to_owned(),
            base: "DomainResource".to_owned(),
            expression: "DomainResource.language".to_owned(),
            targets: Vec::new(),
            components: Vec::new(),
        };
        let document = Document::parse(with(changes).to_string(), Limits::default()).expect("JSON");
        read(&known, &[&other], document.root())
    }

    #[rstest]
    #[case::plain(json!({}), &["Patient"])]
    #[case::everywhere(json!({"base": ["Resource"], "expression": "Resource.meta.extension('http://e').value"}), &["Resource"])]
    #[case::two(json!({"base": ["Person", "Patient"], "expression": "Patient.extension('e').value | Person.extension('e').value"}), &["Patient", "Person"])]
    #[case::token(json!({"type": "token"}), &["Patient"])]
    #[case::number(json!({"type": "number"}), &["Patient"])]
    #[case::date(json!({"type": "date"}), &["Patient"])]
    #[case::quantity(json!({"type": "quantity"}), &["Patient"])]
    #[case::uri(json!({"type": "uri"}), &["Patient"])]
    #[case::reference(json!({"type": "reference", "target": ["Patient"]}), &["Patient"])]
    #[case::retired(json!({"status": "retired"}), &[])]
    #[case::copy(json!({"url": "http://hl7.org/fhir/SearchParameter/Account-owner", "code": "owner", "base": ["Account"],
        "type": "reference", "expression": "Account.owner"}), &[])]
    fn accepts(
        #[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion,
        #[case] changes: Value,
        #[case] bases: &[&str],
    ) {
        let found = verdict(version, &changes).expect("accepted");
        let found: Vec<&str> = found.iter().map(|definition| definition.base.as_str()).collect();
        assert_eq!(found, bases);
    }

    #[rstest]
    #[case(json!({"url": "http://e/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"}),
        400, "SearchParameter.url", "exceeds the maximum length limit of 128")]
    #[case(json!({"url": "http://hl7.org/fhir/SearchParameter/Account-owner"}), 405, "", "is defined by the FHIR specification")]
    #[case(json!({"url": "http://e/other"}), 400, "SearchParameter.url", "same definition URL 'http://e/other' already exists")]
    #[case(json!({"code": "birthdate"}), 400, "SearchParameter.code", "same code value 'birthdate' already exists for base type 'Patient'")]
    #[case(json!({"code": "other"}), 400, "SearchParameter.code", "same code value 'other' already exists")]
    #[case(json!({"code": "_sort"}), 400, "SearchParameter.code", "same code value '_sort'")]
    #[case(json!({"code": "a.b"}), 400, "SearchParameter.code", "can't be used in a search")]
    #[case(json!({"base": ["foo"]}), 400, "SearchParameter.base", "Resource type 'foo' is not supported.")]
    #[case(json!({"base": ["HumanName"]}), 400, "SearchParameter.base", "'HumanName'")]
    #[case(json!({"type": "special"}), 400, "SearchParameter.type", "'special'")]
    #[case(json!({"expression": ""}), 400, "SearchParameter.expression", "is required")]
    #[case(json!({"expression": "Patient.nme"}), 400, "SearchParameter.expression", "`nme`")]
    #[case(json!({"expression": "Patient.name.given.matches('a')"}), 400, "SearchParameter.expression", "`matches()`")]
    #[case(json!({"expression": "Observation.status"}), 400, "SearchParameter.expression", "nothing about `Patient`")]
    #[case(json!({"expression": "Patient.name", "type": "date"}), 400, "SearchParameter.expression", "HumanName: a search parameter of type 'date'")]
    #[case(json!({"target": ["foo"], "type": "reference"}), 400, "SearchParameter.target", "'foo'")]
    #[case(json!({"type": "composite"}), 400, "SearchParameter.component", "two or three")]
    fn refuses(
        #[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion,
        #[case] changes: Value,
        #[case] status: u16,
        #[case] element: &str,
        #[case] text: &str,
    ) {
        let failure = verdict(version, &changes).expect_err("refused");
        let issue = &failure.issues[0];
        assert_eq!((failure.status.as_u16(), issue.expression.as_str()), (status, element));
        assert!(issue.diagnostics.contains(text), "{}", issue.diagnostics);
    }
}
