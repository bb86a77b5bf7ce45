//! A parameter's name → where its value is looked for: in the resource, along a chain, or at what refers to it.

use fhir_definitions::{Definitions, FhirVersion, ParamKind, ResourceType, SearchParameter};

use super::expression::{self, Expression, Operator, Step, Test};
use super::{alternatives, comparisons, filters};
use crate::access::Access;
use crate::error::SearchError;
use crate::include;
use crate::key::{self, ParamId};
use crate::parameters::Parameters;
use crate::plan::{Filter, SortBy};
use crate::shared;
use crate::targets;
use crate::terms::Terms;
use crate::value::unescape;

/// Parameters that aren't served; ignoring them would give wrong answers.
const LATER: &[&str] = &["_query", "_contained", "_containedType"];

/// Parameters of the specification that are as unknown here as they were in Azure.
const UNKNOWN: &[&str] = &["_text", "_content"];

/// Steps of a chain, forwards and backwards, at most.
const DEPTH: usize = 8;

/// What reading conditions needs.
#[derive(Clone, Copy)]
pub struct Conditions<'a> {
    pub definitions: &'static Definitions,
    pub parameters: &'a Parameters,
    pub bases: &'a [String],
    /// What the caller sees: a chain never leads anywhere else.
    pub access: &'a Access,
    /// What terminology has said.
    pub terms: &'a Terms,
}

impl Conditions<'_> {
    /// A condition on resources of these types; of none: of every type.
    pub fn read(&self, types: &[ResourceType], name: &str, text: &str) -> Result<Filter, SearchError> {
        self.at(types, name, text, 0)
    }

    /// What a name stands for in `_sort`; `None`: nothing that there is an order of.
    pub fn sort_by(&self, types: &[ResourceType], code: &str) -> Option<SortBy> {
        match code {
            "_id" => return Some(SortBy::Id),
            "_lastUpdated" => return Some(SortBy::Updated),
            _ => {}
        }
        let found = self.lookup(types, code).ok()?;
        let [(_, parameter)] = found.as_slice() else {
            return None;
        };
        let params = shared::rows(*parameter);
        match parameter.kind() {
            ParamKind::Token => Some(SortBy::Exact(params, key::TOKEN)),
            ParamKind::Reference => Some(SortBy::Exact(params, key::REFERENCE)),
            ParamKind::Uri => Some(SortBy::Exact(params, key::URI)),
            ParamKind::Date => Some(SortBy::Date(params)),
            ParamKind::Number | ParamKind::Quantity => Some(SortBy::Number(params)),
            ParamKind::String => Some(SortBy::Text(params)),
            ParamKind::Composite | ParamKind::Special => None,
        }
    }

    fn at(&self, types: &[ResourceType], name: &str, text: &str, depth: usize) -> Result<Filter, SearchError> {
        if depth > DEPTH {
            return Err(too_deep());
        }
        if let Some(rest) = name.strip_prefix("_has:") {
            return self.has(types, rest, text, depth);
        }
        if let Some((head, rest)) = name.split_once('.') {
            let behind = |target: ResourceType| self.at(&[target], rest, text, depth + 1);
            return self.chain(types, head, rest, &behind);
        }
        let (code, modifier) = name
            .split_once(':')
            .map_or((name, None), |(code, modifier)| (code, Some(modifier)));
        if LATER.contains(&code) {
            return Err(SearchError::NotSupported(format!(
                "The search parameter '{name}' is not supported in this release."
            )));
        }
        if UNKNOWN.contains(&code) {
            return Err(unknown_parameter(name, types));
        }
        match code {
            "_not-referenced" => return self.not_referenced(types, text),
            "_filter" if modifier.is_none() => return self.expression(types, &expression::parse(text)?, depth),
            "_list" if modifier.is_none() => return self.list(types, text),
            "_filter" | "_list" => {
                return Err(SearchError::Modifier {
                    modifier: modifier.unwrap_or_default().to_owned(),
                    parameter: code.to_owned(),
                });
            }
            "_type" if depth > 0 => return Ok(Filter::Type(text.split(',').map(str::to_owned).collect())),
            _ => {}
        }
        if let Some(filter) = filters::own_row(code, modifier, text)? {
            return Ok(filter);
        }
        let context = self.context();
        let each = self.lookup(types, code)?.into_iter().map(|(of, parameter)| {
            let filter = filters::of_parameter(&context, parameter, modifier, text)?;
            Ok((of, filter))
        });
        Ok(by_type(each.collect::<Result<_, SearchError>>()?))
    }

    /// `code[:Type].rest`, with `behind` for what holds there.
    fn chain(
        &self,
        types: &[ResourceType],
        head: &str,
        rest: &str,
        behind: &dyn Fn(ResourceType) -> Result<Filter, SearchError>,
    ) -> Result<Filter, SearchError> {
        let (code, target) = head
            .split_once(':')
            .map_or((head, None), |(code, target)| (code, Some(target)));
        let mut each = Vec::new();
        for (of, parameter) in self.lookup(types, code)? {
            if parameter.kind() != ParamKind::Reference {
                return Err(not_a_reference());
            }
            let targets = self.targets(parameter, target)?;
            let mut unknown = None;
            let mut found = Vec::new();
            for target in targets {
                match behind(target) {
                    Ok(filter) => found.push((target, filter)),
                    Err(error @ SearchError::UnknownParameter { .. }) => unknown = Some(error),
                    Err(error) => return Err(error),
                }
            }
            if found.len() > 1 {
                let names: Vec<_> = found
                    .iter()
                    .map(|(target, _)| format!("{code}:{}", target.name()))
                    .collect();
                return Err(SearchError::NotSupported(format!(
                    "The reference search parameter '{code}' refers to multiple possible resource types. Please specify a \
                     type in the search expression: {}",
                    names.join(" or ")
                )));
            }
            let Some((target, filter)) = found.pop() else {
                return Err(unknown.unwrap_or_else(|| unknown_parameter(rest, types)));
            };
            let filter = match self.access.conditions(target.name()) {
                None => Filter::Any(Vec::new()),
                Some(seen) => {
                    let inner: Vec<_> = std::iter::once(filter).chain(seen).collect();
                    let linked = |url| Filter::Linked {
                        param: ParamId::of(parameter),
                        target: target.name().to_owned(),
                        url,
                        filters: inner.clone(),
                    };
                    filters::any(self.ways(parameter, target).into_iter().map(linked).collect())
                }
            };
            each.push((of, filter));
        }
        Ok(by_type(each))
    }

    /// The types that a reference may lead to.
    fn targets(&self, parameter: SearchParameter, named: Option<&str>) -> Result<Vec<ResourceType>, SearchError> {
        if let Some(name) = named {
            let target = self.definitions.resource_type(name);
            return Ok(vec![target.ok_or_else(|| unknown_type(name))?]);
        }
        let named = targets::of(parameter).into_iter();
        let named: Vec<_> = named.filter_map(|name| self.definitions.resource_type(name)).collect();
        if named.is_empty() {
            Ok(self.definitions.resource_types().collect())
        } else {
            Ok(named)
        }
    }

    /// `_has:Source:parameter:rest=text`
    fn has(&self, types: &[ResourceType], name: &str, text: &str, depth: usize) -> Result<Filter, SearchError> {
        let malformed = || {
            SearchError::NotSupported(format!(
                "'_has:{name}' is not `_has:Type:reference:parameter`, where the reference of the type leads here."
            ))
        };
        let parts: Vec<&str> = name.splitn(3, ':').collect();
        let [source, code, rest] = parts[..] else {
            let missing = if parts.len() < 2 { "type" } else { "reference" };
            let text = format!("The reverse chain search is missing the {missing} to search.");
            return Err(SearchError::NotSupported(text));
        };
        let of = self.definitions.resource_type(source);
        let source = of.ok_or_else(|| unknown_type(source))?;
        let parameter = self.parameters.find(source, code);
        if parameter.is_some_and(|parameter| parameter.kind() != ParamKind::Reference) {
            return Err(not_a_reference());
        }
        let parameter = parameter.filter(|parameter| parameter.kind() == ParamKind::Reference);
        let parameter = parameter.ok_or_else(malformed)?;
        if rest.is_empty() {
            return Err(malformed());
        }
        let inner = self.at(&[source], rest, text, depth + 1)?;
        let Some(seen) = self.access.conditions(source.name()) else {
            return Ok(Filter::Any(Vec::new()));
        };
        let inner: Vec<_> = std::iter::once(inner).chain(seen).collect();
        let linked = |target: &ResourceType| {
            let by = |url| Filter::LinkedBy {
                param: ParamId::of(parameter),
                target: target.name().to_owned(),
                url,
                filters: from(source.name(), ParamId::of(parameter), inner.clone()),
            };
            self.ways(parameter, *target).into_iter().map(by).collect::<Vec<_>>()
        };
        let all = self.targets(parameter, None)?;
        let targets = if types.is_empty() { &all[..] } else { types };
        Ok(filters::any(targets.iter().flat_map(linked).collect()))
    }

    /// How a reference says where it leads: by `Type/id`, or by the URL that the target has under a parameter.
    fn ways(&self, parameter: SearchParameter, target: ResourceType) -> Vec<Option<ParamId>> {
        let Some(url) = targets::url(self.parameters, target) else {
            return vec![None];
        };
        let ways = targets::ways(self.definitions, parameter);
        let by_id = ways.by_id.then_some(None);
        by_id.into_iter().chain(ways.by_url.then_some(Some(url))).collect()
    }

    /// `_list`: what the entries of a List refer to.
    fn list(&self, types: &[ResourceType], text: &str) -> Result<Filter, SearchError> {
        let list = self.definitions.resource_type("List");
        let item = list.and_then(|list| self.parameters.find(list, "item"));
        let (Some(list), Some(item)) = (list, item) else {
            return Err(unknown_parameter("_list", types));
        };
        let Some(seen) = self.access.conditions(list.name()) else {
            return Ok(Filter::Any(Vec::new()));
        };
        let mut ids = Vec::new();
        for id in alternatives(text) {
            let id = unescape(id);
            if id.starts_with('$') {
                return Err(SearchError::NotSupported(format!(
                    "The functional list '{id}' is not supported. Name a List by its id."
                )));
            }
            ids.push(id.strip_prefix("List/").unwrap_or(&id).to_owned());
        }
        let linked = |target: &ResourceType| Filter::LinkedBy {
            param: ParamId::of(item),
            target: target.name().to_owned(),
            url: None,
            filters: std::iter::once(Filter::Id(ids.clone())).chain(seen.clone()).collect(),
        };
        let all: Vec<_> = self.definitions.resource_types().collect();
        let targets = if types.is_empty() { &all[..] } else { types };
        Ok(filters::any(targets.iter().map(linked).collect()))
    }

    /// A filter expression on resources of these types.
    fn expression(&self, types: &[ResourceType], found: &Expression, depth: usize) -> Result<Filter, SearchError> {
        let of = |inner: &Expression| self.expression(types, inner, depth);
        Ok(match found {
            Expression::And(first, second) => Filter::All(vec![of(first)?, of(second)?]),
            Expression::Or(first, second) => Filter::Any(vec![of(first)?, of(second)?]),
            Expression::Not(inner) => Filter::Not(Box::new(of(inner)?)),
            Expression::Test(test) => match self.test(types, &test.path, test, depth) {
                // ignored, it would change what the rest says
                Err(unknown @ SearchError::UnknownParameter { .. }) => {
                    return Err(expression::refuse(test.at, unknown.to_string().trim_end_matches('.')));
                }
                other => other?,
            },
        })
    }

    fn test(&self, types: &[ResourceType], path: &[Step], test: &Test, depth: usize) -> Result<Filter, SearchError> {
        if depth > DEPTH {
            return Err(too_deep());
        }
        let [step, rest @ ..] = path else {
            return Err(expression::refuse(test.at, "the name of a search parameter is missing"));
        };
        if let [next, ..] = rest {
            let behind = |target: ResourceType| {
                let mut filters = vec![self.test(&[target], rest, test, depth + 1)?];
                if let Some(filter) = &step.filter {
                    filters.push(self.expression(&[target], filter, depth + 1)?);
                }
                Ok(Filter::All(filters))
            };
            return self.chain(types, &step.name, &next.name, &behind);
        }
        if matches!(step.name.as_str(), "_id" | "_lastUpdated") {
            return own_row(step, test);
        }
        let context = self.context();
        let each = self.lookup(types, &step.name)?.into_iter().map(|(of, parameter)| {
            let filter = comparisons::of(&context, parameter, test)?;
            Ok((of, filter))
        });
        Ok(by_type(each.collect::<Result<_, SearchError>>()?))
    }

    fn context(&self) -> filters::Context<'_> {
        filters::Context {
            definitions: self.definitions,
            parameters: self.parameters,
            bases: self.bases,
            terms: self.terms,
        }
    }

    /// `_not-referenced=Source:parameter`, with `*` for all of them.
    fn not_referenced(&self, types: &[ResourceType], text: &str) -> Result<Filter, SearchError> {
        let Some(Ok(include)) = include::parse(self.parameters, "_revinclude", text) else {
            return Err(SearchError::BadValue(format!(
                "The value '{text}' of '_not-referenced' is not `Type:parameter` of a reference."
            )));
        };
        let all: Vec<_> = self.definitions.resource_types().collect();
        let targets = if types.is_empty() { &all[..] } else { types };
        let each = targets.iter().map(|target| {
            let none = include.parameters.iter().filter_map(|(source, param)| {
                Some(Filter::Not(Box::new(Filter::LinkedBy {
                    param: *param,
                    target: target.name().to_owned(),
                    url: None,
                    filters: from(source, *param, self.access.conditions(source)?),
                })))
            });
            (target.name().to_owned(), Filter::All(none.collect()))
        });
        Ok(by_type(each.collect()))
    }

    /// The parameter, or one for each type where they differ; refused where some type doesn't have it.
    fn lookup(&self, types: &[ResourceType], code: &str) -> Result<Vec<(String, SearchParameter)>, SearchError> {
        let unknown = || unknown_parameter(code, types);
        if types.is_empty() {
            let parameter = self.parameters.find_common(code);
            return Ok(vec![(String::new(), parameter.ok_or_else(unknown)?)]);
        }
        let mut found: Vec<(String, SearchParameter)> = Vec::new();
        for of in types {
            let parameter = self.parameters.find(*of, code);
            found.push((of.name().to_owned(), parameter.ok_or_else(unknown)?));
        }
        let (first, parameter) = &found[0];
        if found.iter().all(|(_, other)| other == parameter) {
            found.truncate(1);
            return Ok(found);
        }
        match found.iter().find(|(_, other)| shared(*other) != shared(*parameter)) {
            None => Ok(found),
            Some((other, _)) => Err(SearchError::BadValue(format!(
                "Search parameter '{code}' is not common for '{first}' and '{other}'."
            ))),
        }
    }
}

/// The URL of the definition that several types share. STU3's tables have a definition for each type, so R4's say which
/// of them are the same.
fn shared(parameter: SearchParameter) -> &'static str {
    let later = Definitions::of(FhirVersion::R4);
    let same = later.resource_type(parameter.base());
    let same = same.and_then(|of| later.search_parameter(of, parameter.code()));
    same.filter(|_| parameter.as_stored().is_none())
        .unwrap_or(parameter)
        .url()
}

fn not_a_reference() -> SearchError {
    SearchError::NotSupported("The chained parameter must be a reference search parameter type.".to_owned())
}

fn unknown_type(name: &str) -> SearchError {
    SearchError::NotSupported(format!("Resource type '{name}' is not supported."))
}

fn too_deep() -> SearchError {
    SearchError::NotSupported(format!("A chain of more than {DEPTH} steps is not supported."))
}

/// A test of what stands in the resource's own row.
fn own_row(step: &Step, test: &Test) -> Result<Filter, SearchError> {
    let Operator::Prefix(prefix) = test.operator else {
        return Err(comparisons::cannot(test, &step.name));
    };
    let by_id = step.name == "_id";
    let text = match (by_id, prefix) {
        (true, "eq" | "ne") => test.value.clone(),
        (true, _) => return Err(comparisons::cannot(test, &step.name)),
        (false, prefix) => format!("{prefix}{}", test.value),
    };
    let found = filters::own_row(&step.name, None, &text)?.ok_or_else(|| comparisons::cannot(test, &step.name))?;
    Ok(if by_id && prefix == "ne" {
        Filter::Not(Box::new(found))
    } else {
        found
    })
}

pub fn unknown_parameter(code: &str, types: &[ResourceType]) -> SearchError {
    let of = match types {
        [one] => one.name(),
        _ => "Resource",
    };
    SearchError::UnknownParameter {
        parameter: code.to_owned(),
        resource_type: of.to_owned(),
    }
}

/// What holds for a resource that refers to another. Storage knows the type of most parameters; others have several.
fn from(source: &str, param: ParamId, mut filters: Vec<Filter>) -> Vec<Filter> {
    if param.is_stored() {
        filters.insert(0, Filter::Type(vec![source.to_owned()]));
    }
    filters
}

/// One filter for each type; a single one holds for all that are searched.
fn by_type(mut each: Vec<(String, Filter)>) -> Filter {
    if each.len() == 1 {
        return each.remove(0).1;
    }
    let each = each
        .into_iter()
        .map(|(of, filter)| Filter::All(vec![Filter::Type(vec![of]), filter]));
    Filter::Any(each.collect())
}
