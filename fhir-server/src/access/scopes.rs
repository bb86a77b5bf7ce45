//! SMART scopes of a token → rules (SMART App Launch 2.2, "Scopes for requesting FHIR resources"), with Microsoft's
//! bounds: no version or context mixed with another, search parameters without modifiers, chains and includes. A scope
//! that can't be enforced as written is refused, never widened; scopes that aren't about resources are ignored.

mod context;

use std::collections::BTreeSet;
use std::str::FromStr;

use bearer::Claims;
use fhir_definitions::FhirVersion;
use fhir_search::parse::Target;
use fhir_search::{Access, Compartment, Filter, Handling, Parser, Rule};

use self::context::Context;
use super::Action;
use crate::http::call::pairs;
use crate::http::failure::{Failure, Result};

/// Claims that hold scopes, as one text with blanks or as a list.
const CLAIMS: [&str; 2] = ["scope", "scp"];
/// Scopes of a token at most: more is no app's need, and each is a condition of every search.
const MOST: usize = 200;

/// What a token's scopes grant.
#[derive(Debug, Clone, Default)]
pub struct Scopes {
    granted: Vec<Granted>,
}

#[derive(Debug, Clone)]
struct Granted {
    permissions: Permissions,
    types: Option<&'static str>,
    /// Whose resources: with what is shared, and without it for changes.
    compartment: Option<(Compartment, Compartment)>,
    filters: Vec<Filter>,
}

/// Create, read, update, delete, search: v2's letters, which v1's words stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Permissions {
    letters: [bool; 5],
    first_version: bool,
}

const LETTERS: [u8; 5] = *b"cruds";

impl FromStr for Permissions {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (letters, first_version) = match text {
            "read" => ("rs", true),
            "write" => ("cud", true),
            "*" => ("cruds", true),
            letters => (letters, false),
        };
        // in this order, each once
        let mut rest = letters.as_bytes();
        let letters = LETTERS.map(|letter| match rest.split_first() {
            Some((first, after)) if *first == letter => {
                rest = after;
                true
            }
            _ => false,
        });
        if rest.is_empty() && letters.contains(&true) {
            Ok(Self { letters, first_version })
        } else {
            Err(())
        }
    }
}

impl Permissions {
    fn allow(self, action: Action) -> bool {
        let letter = match action {
            Action::Create => b'c',
            Action::Read => b'r',
            Action::Update => b'u',
            Action::Delete => b'd',
            Action::Search => b's',
            // no scope speaks of it
            Action::HardDelete => return false,
        };
        LETTERS
            .into_iter()
            .zip(self.letters)
            .any(|(own, held)| held && own == letter)
    }
}

/// A scope about resources, as written.
struct Scope<'a> {
    text: &'a str,
    context: Context,
    of: &'a str,
    permissions: Permissions,
    query: &'a str,
}

impl<'a> Scope<'a> {
    /// `None`: it is about something else (`openid`, `launch/patient`, an issuer's own).
    fn of(text: &'a str) -> Option<Result<Self>> {
        let (context, rest) = text.split_once('/')?;
        let context = Context::named(context)?;
        let (path, query) = rest
            .split_once('?')
            .map_or((rest, None), |(path, query)| (path, Some(query)));
        let parts = path.rsplit_once('.');
        let read = parts.and_then(|(of, permissions)| {
            Some(Self {
                text,
                context,
                of,
                permissions: permissions.parse().ok()?,
                query: query.unwrap_or_default(),
            })
        });
        let may_have = |scope: &Self| query.is_none_or(|query| !query.is_empty() && !scope.permissions.first_version);
        Some(
            read.filter(may_have)
                .ok_or_else(|| refused(text, "isn't written as SMART's scopes are")),
        )
    }
}

fn refused(scope: &str, reason: &str) -> Failure {
    let scope: String = scope.chars().take(200).collect();
    Failure::invalid(format!("The scope '{scope}' {reason}."))
}

impl Scopes {
    /// Reads the scopes of a token.
    pub fn of(claims: &Claims, version: FhirVersion, parser: &Parser) -> Result<Self> {
        let texts = CLAIMS.iter().flat_map(|claim| claims.texts(claim));
        // Entra ID has no slash in scopes: it is written as %2f there
        let texts: Vec<String> = texts
            .flat_map(str::split_ascii_whitespace)
            .map(|text| text.replace("%2f", "/").replace("%2F", "/"))
            .collect();
        let scopes = texts.iter().filter_map(|text| Scope::of(text));
        let scopes = scopes.collect::<Result<Vec<_>>>()?;
        if scopes.len() > MOST {
            return Err(Failure::invalid(format!("The token has more than {MOST} scopes.")));
        }
        refuse_mixtures(&scopes)?;
        let granted = scopes.iter().map(|scope| granted(scope, claims, version, parser));
        Ok(Self {
            granted: granted.collect::<Result<_>>()?,
        })
    }

    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.granted.is_empty()
    }

    /// What an action may be done to.
    pub fn rules(&self, action: Action) -> Vec<Rule> {
        let allowed = self.granted.iter().filter(|granted| granted.permissions.allow(action));
        let reads = matches!(action, Action::Read | Action::Search);
        let rules = allowed.map(|granted| Rule {
            types: granted.types.map(|of| BTreeSet::from([of])),
            compartment: granted.compartment.as_ref().map(|(with_shared, own)| {
                let compartment = if reads { with_shared } else { own };
                compartment.clone()
            }),
            filters: granted.filters.clone(),
        });
        rules.collect()
    }
}

fn refuse_mixtures(scopes: &[Scope<'_>]) -> Result<()> {
    let differs = |what: &dyn Fn(&Scope<'_>) -> bool| {
        let mut each = scopes.iter().map(what);
        each.next().is_some_and(|first| each.any(|other| other != first))
    };
    if differs(&|scope| scope.permissions.first_version) {
        return Err(Failure::invalid(
            "Scopes of SMART v1 and v2 can't be mixed in one token.",
        ));
    }
    let first = scopes.first().map(|scope| scope.context);
    if scopes.iter().any(|scope| Some(scope.context) != first) {
        let text = "The contexts `patient`, `user` and `system` can't be mixed in the scopes of one token.";
        return Err(Failure::invalid(text));
    }
    Ok(())
}

fn granted(scope: &Scope<'_>, claims: &Claims, version: FhirVersion, parser: &Parser) -> Result<Granted> {
    let of = match scope.of {
        "*" => None,
        name => Some(
            version
                .definitions()
                .resource_type(name)
                .ok_or_else(|| refused(scope.text, "names a resource type that there isn't"))?,
        ),
    };
    let filters = filters(scope, &of.map_or(Target::System, Target::Type), parser)?;
    Ok(Granted {
        permissions: scope.permissions,
        types: of.map(fhir_definitions::ResourceType::name),
        compartment: scope.context.compartment(claims, version)?,
        filters,
    })
}

/// The search parameters of a scope.
fn filters(scope: &Scope<'_>, target: &Target, parser: &Parser) -> Result<Vec<Filter>> {
    let query = pairs(scope.query);
    for (name, value) in &query {
        let (code, modifier) = name.split_once(':').unwrap_or((name, ""));
        // a reference's target type is no modifier of the match
        let is_type = modifier.is_empty() || parser.definitions.resource_type(modifier).is_some();
        if name.contains('.') || !is_type || code.starts_with("_has") {
            return Err(refused(
                scope.text,
                "has a modifier or a chain, which scopes can't have here",
            ));
        }
        if value.is_empty() || is_presentation(code) {
            return Err(refused(scope.text, "has a parameter that narrows nothing"));
        }
    }
    let search = parser.parse(target, &query, Handling::Strict, &Access::All);
    let search = search.map_err(|error| refused(scope.text, &format!("can't be used: {error}")))?;
    Ok(search.plan.filters)
}

/// Parameters that say nothing about a resource itself, or nothing that is known before it is written.
fn is_presentation(code: &str) -> bool {
    const OTHERS: [&str; 12] = [
        "_include",
        "_revinclude",
        "_count",
        "_sort",
        "_summary",
        "_elements",
        "_total",
        "_format",
        "_pretty",
        "_type",
        "_lastUpdated",
        "_not-referenced",
    ];
    const MORE: [&str; 3] = ["_list", "_filter", "_query"];
    OTHERS.contains(&code) || MORE.contains(&code)
}

#[cfg(test)]
mod tests;
