//! The parameters of `$everything`.

use fhir_resource::temporal;
use fhir_storage::Version;

use crate::http::call::{CURSOR, Call, Pairs};
use crate::http::failure::{Failure, OutcomeIssue, Result};
use crate::server::Server;

/// What is asked for.
pub struct Asked {
    /// `_type`: these types only.
    pub types: Option<Vec<&'static str>>,
    /// `_since` as a search parameter.
    pub since: Option<(String, String)>,
    /// `start` and `end` as search parameters.
    pub period: Pairs,
    /// What has an effect, for links.
    pub applied: Pairs,
    /// Parameters that have none.
    pub issues: Vec<OutcomeIssue>,
    from: Option<i64>,
}

impl Asked {
    /// Reads the query.
    pub fn of(server: &Server, call: &Call<'_>) -> Result<Self> {
        let mut asked = Self {
            types: None,
            since: None,
            period: Pairs::new(),
            applied: Pairs::new(),
            issues: Vec::new(),
            from: None,
        };
        for (name, value) in &call.query {
            match name.as_str() {
                CURSOR | "_format" | "_pretty" => continue,
                "_type" => asked.types(server, value),
                "_since" => {
                    asked.from = Some(moment(name, value)?);
                    asked.since = Some(("_lastUpdated".to_owned(), format!("ge{value}")));
                }
                "start" | "end" => {
                    moment(name, value)?;
                    let prefix = if name == "start" { "ge" } else { "le" };
                    asked.period.push(("date".to_owned(), format!("{prefix}{value}")));
                }
                _ => {
                    let text = format!("The \"{name}\" parameter is not supported.");
                    asked.issues.push(OutcomeIssue::warning("not-supported", text));
                    continue;
                }
            }
            asked.applied.push((name.clone(), value.clone()));
        }
        Ok(asked)
    }

    fn types(&mut self, server: &Server, list: &str) {
        let types = self.types.get_or_insert_default();
        for name in list.split(',').map(str::trim) {
            match server.definitions.resource_type(name) {
                Some(of) => types.push(of.name()),
                None => {
                    let text = format!("The '_type' parameter contains unknown resource(s): '{name}'");
                    self.issues.push(OutcomeIssue::warning("not-supported", text));
                }
            }
        }
    }

    /// Whether a resource that was read is among what is asked for.
    pub fn wants(&self, version: &Version) -> bool {
        let types = self.types.as_ref();
        types.is_none_or(|types| types.contains(&&*version.resource_type))
            && self.from.is_none_or(|from| version.last_updated >= from)
    }
}

fn moment(name: &str, value: &str) -> Result<i64> {
    let moment = temporal::parse(value).map(|moment| moment.start);
    moment.ok_or_else(|| {
        Failure::invalid(format!(
            "The '{name}' parameter value '{value}' is not a valid date or time."
        ))
    })
}
