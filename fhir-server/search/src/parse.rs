//! Query → [`Search`]: parameters read, checked and planned. What is refused, ignored or warned of is decided here.

mod comparisons;
mod conditions;
mod expression;
mod filters;
mod moments;

use std::collections::{BTreeSet, HashMap, HashSet};

use fhir_definitions::{Definitions, FhirVersion, ResourceType};

use self::conditions::Conditions;
use crate::access::Access;
use crate::error::SearchError;
use crate::include::{self, Include};
use crate::key::{self, ParamId};
use crate::near;
use crate::parameters::InForce;
use crate::plan::{Filter, Plan, Sort, SortBy, SortKey};
use crate::terms::Terms;
use crate::value;

/// What a search runs over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Every type.
    System,
    /// One type.
    Type(ResourceType),
    /// The members of a compartment (`Patient/id/*`, `Patient/id/Observation`), never its owner.
    Compartment {
        /// `Patient` and so on.
        name: String,
        /// The owner's id.
        id: String,
        /// Only members of this type.
        of: Option<ResourceType>,
    },
}

/// What happens to parameters that don't exist (`Prefer: handling`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handling {
    /// They are ignored, with a warning.
    #[default]
    Lenient,
    /// They are refused.
    Strict,
}

/// `_summary`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Summary {
    /// Whole resources.
    #[default]
    False,
    /// The elements that summaries hold.
    True,
    /// The narrative and what is mandatory.
    Text,
    /// All but the narrative.
    Data,
    /// Only the number of matches.
    Count,
}

/// `_total`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Total {
    /// No total.
    #[default]
    None,
    /// Exactly counted.
    Accurate,
    /// Cheap, may be inexact.
    Estimate,
}

/// A search, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// What to find.
    pub plan: Plan,
    /// Matches a page.
    pub count: usize,
    /// What of a resource is shown.
    pub summary: Summary,
    /// Whether a total is wanted.
    pub total: Total,
    /// Only these top-level elements; empty: all.
    pub elements: Vec<String>,
    /// What was ignored or changed, for the caller: (issue code, diagnostics).
    pub warnings: Vec<(&'static str, String)>,
    /// What else a page shows.
    pub includes: Vec<Include>,
    /// How much of that at most (`_includesCount`).
    pub includes_count: Option<usize>,
    /// The parameters that were applied, as written: what the `self` link repeats.
    pub applied: Vec<(String, String)>,
}

/// Reads queries for one service.
#[derive(Debug, Clone)]
pub struct Parser {
    /// The FHIR version's tables.
    pub definitions: &'static Definitions,
    /// The parameters in force.
    pub in_force: InForce,
    /// The service's own bases, as the extractor has them.
    pub bases: Vec<String>,
    /// Matches a page where the query doesn't say.
    pub default_count: usize,
    /// Matches a page at most.
    pub max_count: usize,
}

/// Parameters of a query, and values of all of them together; more are no question but a download.
const MAX_PARAMETERS: usize = 1_000;
const MAX_VALUES: usize = 10_000;

/// Parameters that say how the answer looks; other layers read them.
const PRESENTATION: &[&str] = &["_format", "_pretty"];
/// Parameters that mean nothing without a value, so that they are refused; others are ignored then, as unknown ones are.
const MUST_SAY: &[&str] = &["_type", "_count", "_includesCount", "_summary", "_elements", "_total"];

impl Parser {
    /// The same, but parameters that are being filled count as ready.
    #[must_use]
    pub fn partial(&self) -> Self {
        Self {
            in_force: InForce::new(self.in_force.load().partial()),
            ..self.clone()
        }
    }

    /// Reads the decoded pairs of a query string (and of a form) for `target`.
    pub fn parse(
        &self,
        target: &Target,
        pairs: &[(String, String)],
        handling: Handling,
        access: &Access,
    ) -> Result<Search, SearchError> {
        self.parse_knowing(target, pairs, handling, access, &Terms::default())
    }

    /// The same, with what terminology has said ([`SearchError::Needs`]).
    pub fn parse_knowing(
        &self,
        target: &Target,
        pairs: &[(String, String)],
        handling: Handling,
        access: &Access,
        terms: &Terms,
    ) -> Result<Search, SearchError> {
        let parameters = self.in_force.load();
        let conditions = Conditions {
            definitions: self.definitions,
            parameters: &parameters,
            bases: &self.bases,
            access,
            terms,
        };
        let mut reading = Reading::new(self, conditions, target, handling);
        reading.types(target, pairs)?;
        let distances = pairs.iter().filter_map(|(name, text)| {
            let name = name.strip_suffix("-distance").filter(|name| name.ends_with("near"))?;
            Some((name.to_owned(), text.clone()))
        });
        reading.distances = distances.collect();
        let nears = pairs.iter().filter(|(name, _)| name.ends_with("near"));
        reading.nears = nears.map(|(name, _)| format!("{name}-distance")).collect();
        if pairs.len() > MAX_PARAMETERS || pairs.iter().map(values).sum::<usize>() > MAX_VALUES {
            return Err(SearchError::BadValue(
                "The incoming request has too many parameters. Reduce the number of parameters and resend the request."
                    .to_owned(),
            ));
        }
        let mut seen = BTreeSet::new();
        for pair in pairs {
            if seen.insert(pair) {
                reading.parameter(&pair.0, &pair.1)?;
            }
        }
        reading.finish()
    }
}

struct Reading<'a> {
    parser: &'a Parser,
    conditions: Conditions<'a>,
    handling: Handling,
    /// The types that the search runs over; empty: all.
    types: Vec<ResourceType>,
    filters: Vec<Filter>,
    elements_given: bool,
    /// What `near-distance` says, by the name of its `near` (STU3).
    distances: HashMap<String, String>,
    /// Names of distances that belong to a `near`.
    nears: HashSet<String>,
    /// Whether all types are searched, at the base, and none is named.
    is_base: bool,
    search: Search,
}

impl<'a> Reading<'a> {
    fn new(parser: &'a Parser, conditions: Conditions<'a>, target: &Target, handling: Handling) -> Self {
        let plan = Plan {
            types: BTreeSet::new(),
            filters: Vec::new(),
            sort: Sort::Creation,
        };
        let search = Search {
            plan,
            count: parser.default_count.min(parser.max_count),
            summary: Summary::default(),
            total: Total::default(),
            elements: Vec::new(),
            warnings: Vec::new(),
            includes: Vec::new(),
            includes_count: None,
            applied: Vec::new(),
        };
        let types = match target {
            Target::Type(of) | Target::Compartment { of: Some(of), .. } => vec![*of],
            Target::System | Target::Compartment { .. } => Vec::new(),
        };
        Self {
            parser,
            conditions,
            handling,
            types,
            filters: Vec::new(),
            elements_given: false,
            distances: HashMap::new(),
            nears: HashSet::new(),
            is_base: matches!(target, Target::System),
            search,
        }
    }

    /// The types come first: what a parameter means depends on them.
    fn types(&mut self, target: &Target, pairs: &[(String, String)]) -> Result<(), SearchError> {
        let definitions = self.parser.definitions;
        if let Target::Compartment { name, id, .. } = target {
            let index = definitions
                .compartments()
                .position(|compartment| compartment.name() == name);
            let index = index.and_then(|index| u32::try_from(index).ok());
            let index = index.ok_or_else(|| SearchError::NotSupported(format!("There is no compartment '{name}'.")))?;
            let owner = key::reference(&format!("{name}/{id}"));
            self.filters
                .push(Filter::Exact(ParamId::of_compartment(index), vec![owner]));
        }
        for (_, list) in pairs.iter().filter(|(name, _)| name == "_type") {
            self.is_base = false;
            if list.is_empty() {
                return Err(SearchError::BadValue(
                    "The '_type' parameter must not be empty.".to_owned(),
                ));
            }
            let (known, unknown): (Vec<_>, Vec<_>) = list
                .split(',')
                .map(|name| (name, definitions.resource_type(name)))
                .partition(|(_, of)| of.is_some());
            if !unknown.is_empty() {
                let names: Vec<_> = unknown.iter().map(|(name, _)| format!("'{name}'")).collect();
                self.warn(
                    "not-supported",
                    format!(
                        "The '_type' parameter contains unknown resource(s): {}",
                        names.join(",")
                    ),
                )?;
            }
            let named: Vec<_> = known.iter().filter_map(|(_, of)| *of).collect();
            if named.is_empty() {
                self.filters.push(Filter::Any(Vec::new()));
            } else if self.types.is_empty() {
                self.types = named;
            } else {
                self.types.retain(|of| named.contains(of));
                if self.types.is_empty() {
                    self.filters.push(Filter::Any(Vec::new()));
                }
            }
        }
        Ok(())
    }

    fn warn(&mut self, code: &'static str, text: String) -> Result<(), SearchError> {
        if self.handling == Handling::Strict {
            return Err(SearchError::BadValue(text));
        }
        self.search.warnings.push((code, text));
        Ok(())
    }

    fn parameter(&mut self, name: &str, text: &str) -> Result<(), SearchError> {
        if PRESENTATION.contains(&name) {
            return Ok(());
        }
        if text.trim().is_empty() && !MUST_SAY.contains(&name) {
            let unknown = conditions::unknown_parameter(name, &self.types);
            return self.warn(unknown.code(), unknown.to_string());
        }
        if let Some(include) = include::parse(self.conditions.parameters, name, text) {
            if self.is_base {
                let name = name.split(':').next().unwrap_or(name);
                let text = format!("The {name} search cannot be used against the base route.");
                return Err(SearchError::NotSupported(text));
            }
            self.search.includes.push(include?);
            self.search.applied.push((name.to_owned(), text.to_owned()));
            return Ok(());
        }
        match name {
            "_type" => {}
            "_count" => self.count(text)?,
            "_includesCount" => {
                let count = text.parse().ok().filter(|count| *count > 0);
                self.search.includes_count = Some(count.ok_or_else(|| {
                    SearchError::BadValue(format!(
                        "The '_includesCount' parameter must be a number above zero, not '{text}'."
                    ))
                })?);
            }
            "_summary" => self.summary(text)?,
            "_elements" => self.elements(text)?,
            "_total" => self.total(text)?,
            "_sort" => {
                if !self.sort(text)? {
                    return Ok(());
                }
            }
            _ => {
                if !self.condition(name, text)? {
                    return Ok(());
                }
            }
        }
        self.search.applied.push((name.to_owned(), text.to_owned()));
        Ok(())
    }

    fn count(&mut self, text: &str) -> Result<(), SearchError> {
        let count = text.parse::<u64>().map_err(|_| {
            SearchError::BadValue(format!(
                "The '_count' parameter must be a number that isn't negative, not '{text}'."
            ))
        })?;
        if count == 0 {
            self.search.summary = Summary::Count;
            return Ok(());
        }
        let max = self.parser.max_count;
        self.search.count = usize::try_from(count).unwrap_or(usize::MAX);
        if self.search.count > max {
            self.search.count = max;
            let text = format!(
                "The '_count' parameter exceeds limit configured for server. Current limit is {max} while `_count` parameter set to {count}."
            );
            self.warn("invalid", text)?;
        }
        Ok(())
    }

    fn summary(&mut self, text: &str) -> Result<(), SearchError> {
        self.search.summary = match text {
            "false" => Summary::False,
            "true" => Summary::True,
            "text" => Summary::Text,
            "data" => Summary::Data,
            "count" => Summary::Count,
            _ => {
                let text = format!(
                    "The '_summary' parameter value '{text}' is invalid. The supported values are: 'true', 'text', 'data', 'count', 'false'."
                );
                return Err(SearchError::BadValue(text));
            }
        };
        Ok(())
    }

    fn elements(&mut self, text: &str) -> Result<(), SearchError> {
        self.elements_given = true;
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let before = self.search.elements.len();
        self.search.elements.extend(names.map(str::to_owned));
        if self.search.elements.len() == before {
            let text = "The '_elements' parameter must name at least one element.";
            return Err(SearchError::BadValue(text.to_owned()));
        }
        Ok(())
    }

    fn total(&mut self, text: &str) -> Result<(), SearchError> {
        self.search.total = match text {
            "none" => Total::None,
            "accurate" => Total::Accurate,
            "estimate" => Total::Estimate,
            _ => {
                let text = format!(
                    "The '_total' parameter value '{text}' is invalid. The supported values are: 'accurate', 'none'."
                );
                return Err(SearchError::BadValue(text));
            }
        };
        Ok(())
    }

    /// Whether the order is one that there is.
    fn sort(&mut self, text: &str) -> Result<bool, SearchError> {
        let mut keys = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let (code, descending) = name.strip_prefix('-').map_or((name, false), |code| (code, true));
            let Some(by) = self.conditions.sort_by(&self.types, code) else {
                let text = format!("Sorting by the '{code}' parameter is not supported.");
                self.warn("not-supported", text)?;
                return Ok(false);
            };
            keys.push(SortKey { by, descending });
        }
        self.search.plan.sort = match keys.as_slice() {
            [] => return Ok(false),
            [
                SortKey {
                    by: SortBy::Updated,
                    descending: false,
                },
            ] => Sort::UpdatedAscending,
            [
                SortKey {
                    by: SortBy::Updated,
                    descending: true,
                },
            ] => Sort::UpdatedDescending,
            _ => Sort::Values(keys),
        };
        Ok(true)
    }

    /// A search parameter; whether it was applied.
    fn condition(&mut self, name: &str, text: &str) -> Result<bool, SearchError> {
        let distance = self.distances.get(name).map(String::as_str);
        let is_stu3 = self.parser.definitions.version() == FhirVersion::Stu3;
        let place;
        let text = match name.rsplit('.').next() {
            Some("near") if is_stu3 => {
                place = near::of_stu3(text, distance);
                place.as_str()
            }
            // it says how far `near` goes
            Some("near-distance") if is_stu3 && self.nears.contains(name) => return Ok(true),
            Some("near-distance") if is_stu3 => {
                let text = format!(
                    "'{name}' says how far '{}' goes: give both.",
                    name.trim_end_matches("-distance")
                );
                return Err(SearchError::BadValue(text));
            }
            _ => text,
        };
        match self.conditions.read(&self.types, name, text) {
            Ok(filter) => {
                self.filters.push(filter);
                Ok(true)
            }
            Err(SearchError::BadValue(text)) if name == "_not-referenced" => {
                self.warn("not-supported", text)?;
                Ok(false)
            }
            Err(unknown @ SearchError::UnknownParameter { .. }) if self.handling == Handling::Lenient => {
                self.search.warnings.push((unknown.code(), unknown.to_string()));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn finish(mut self) -> Result<Search, SearchError> {
        if self.elements_given && self.search.summary != Summary::False {
            let text = "The '_elements' parameter is supported only when '_summary' is SummaryType.False or '_summary' is not specified at all.";
            return Err(SearchError::BadValue(text.to_owned()));
        }
        let access = self.conditions.access;
        let plan = &mut self.search.plan;
        plan.types = self.types.iter().map(|of| of.name().to_owned()).collect();
        plan.filters = self.filters;
        access.limit(plan);
        Ok(self.search)
    }
}

/// How many values a parameter has at most.
fn values((_, text): &(String, String)) -> usize {
    text.bytes().filter(|byte| *byte == b',').count() + 1
}

/// Splits a value into its alternatives, escapes still inside.
pub(crate) fn alternatives(text: &str) -> Vec<&str> {
    value::split(text, ',')
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect()
}
