//! `_include` and `_revinclude`: which references of a page are followed, in which direction.

use std::collections::BTreeMap;

use fhir_definitions::{ParamKind, ResourceType, SearchParameter};

use crate::error::SearchError;
use crate::key::ParamId;
use crate::parameters::Parameters;
use crate::targets;

/// References to follow from the resources of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// From what is referenced to what refers to it (`_revinclude`).
    pub reverse: bool,
    /// Also from what was included.
    pub iterate: bool,
    /// The reference parameters, each with the type that it belongs to.
    pub parameters: Vec<(&'static str, ParamId)>,
    /// Only references to this type.
    pub target: Option<&'static str>,
    /// The types that the parameters lead to by URL (canonicals), with the parameter that has it.
    pub urls: Vec<(&'static str, ParamId)>,
}

/// Reads a parameter's value; `None` for a name that is no include.
pub fn parse(known: &Parameters, name: &str, text: &str) -> Option<Result<Include, SearchError>> {
    let (code, modifier) = name
        .split_once(':')
        .map_or((name, None), |(code, modifier)| (code, Some(modifier)));
    let reverse = match code {
        "_include" => false,
        "_revinclude" => true,
        _ => return None,
    };
    let iterate = match modifier {
        None => false,
        Some("iterate" | "recurse") => true,
        Some(other) => {
            return Some(Err(SearchError::Modifier {
                modifier: other.to_owned(),
                parameter: code.to_owned(),
            }));
        }
    };
    Some(read(known, name, text, reverse, iterate))
}

fn read(known: &Parameters, name: &str, text: &str, reverse: bool, iterate: bool) -> Result<Include, SearchError> {
    let definitions = known.definitions();
    let bad = |text: String| Err(SearchError::BadValue(text));
    let mut parts = text.splitn(3, ':').map(str::trim);
    let (source, code, target) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if code.is_none() && source != "*" {
        let name = name.split(':').next().unwrap_or(name);
        let text = format!("The {name} search is missing the type to search.");
        return Err(SearchError::NotSupported(text));
    }
    let sources: Vec<ResourceType> = match definitions.resource_type(source) {
        Some(of) => vec![of],
        None if source == "*" => definitions.resource_types().collect(),
        None => return bad(format!("Resource type '{source}' is not supported.")),
    };
    let code = match code {
        Some(code) if !code.is_empty() => code,
        None => "*",
        _ => {
            return bad(format!(
                "The value '{text}' of '{name}' is not `Type:parameter` or `Type:parameter:Target`."
            ));
        }
    };
    let target = match target {
        None => None,
        Some("") => return bad("The target resource type cannot be empty.".to_owned()),
        Some(target) => match definitions.resource_type(target) {
            Some(target) => Some(target.name()),
            None => return Err(SearchError::UnknownTarget(target.to_owned())),
        },
    };
    let mut parameters = Vec::new();
    let mut urls = BTreeMap::new();
    for of in sources {
        if code == "*" {
            for parameter in known.searched(of).filter(|p| p.kind() == ParamKind::Reference) {
                parameters.push((of.name(), ParamId::of(parameter)));
                add_urls(known, parameter, target, &mut urls);
            }
            continue;
        }
        let Some(parameter) = known.find(of, code) else {
            return Err(SearchError::UnknownParameter {
                parameter: code.to_owned(),
                resource_type: of.name().to_owned(),
            });
        };
        if parameter.kind() != ParamKind::Reference {
            return bad(format!(
                "The search parameter '{code}' of '{}' is not a reference: '{name}' can't follow it.",
                of.name()
            ));
        }
        if reverse && iterate && target.is_none() && is_ambiguous(parameter) {
            return bad(format!(
                "The '{name}={text}' search parameter has multiple target types. Please specify a target type."
            ));
        }
        parameters.push((of.name(), ParamId::of(parameter)));
        add_urls(known, parameter, target, &mut urls);
    }
    Ok(Include {
        reverse,
        iterate,
        parameters,
        target,
        urls: urls.into_iter().collect(),
    })
}

/// Adds the types that a parameter leads to by URL.
fn add_urls(
    known: &Parameters,
    parameter: SearchParameter,
    target: Option<&'static str>,
    urls: &mut BTreeMap<&'static str, ParamId>,
) {
    let definitions = known.definitions();
    if !targets::ways(definitions, parameter).by_url {
        return;
    }
    let listed = targets::of(parameter);
    let leads_to = |name: &str| {
        target.is_none_or(|target| target == name)
            && (listed.is_empty() || listed.contains(&name) || listed == ["Resource"])
    };
    for of in definitions.resource_types().filter(|of| leads_to(of.name())) {
        if let Some(url) = targets::url(known, of) {
            urls.insert(of.name(), url);
        }
    }
}

/// What can be included, as `Type:parameter`: the reference parameters of each type, and of those that may refer to it.
pub struct Directory {
    /// By type, in the order of types: its own reference parameters, and those of others that lead to it.
    pub by_type: Vec<(Vec<String>, Vec<String>)>,
}

impl Directory {
    /// Of all types of a version, in the order of [`Definitions::resource_types`].
    pub fn of(known: &Parameters) -> Self {
        let types: Vec<_> = known.definitions().resource_types().collect();
        let mut by_type = vec![(Vec::new(), Vec::new()); types.len()];
        for (at, of) in types.iter().enumerate() {
            for parameter in known.searched(*of) {
                if parameter.kind() != ParamKind::Reference || parameter.expression().is_empty() {
                    continue;
                }
                let name = format!("{}:{}", of.name(), parameter.code());
                let targets = targets::of(parameter);
                for (to, target) in types.iter().enumerate() {
                    if targets.is_empty() || targets.contains(&target.name()) {
                        by_type[to].1.push(name.clone());
                    }
                }
                by_type[at].0.push(name);
            }
        }
        Self { by_type }
    }
}

fn is_ambiguous(parameter: SearchParameter) -> bool {
    targets::of(parameter).len() != 1
}
