//! The bundle that answers a search: bodies as they are stored, between a few bytes.

use fhir_search::parse::Summary;
use fhir_storage::Version;
use uuid::Uuid;

use super::subset;
use crate::http::failure::{OutcomeIssue, outcome};
use crate::http::json::Json;
use crate::server::Server;

/// How an entry came into the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It was searched for.
    Match,
    /// It belongs to a match.
    Include,
}

impl Mode {
    fn code(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Include => "include",
        }
    }
}

/// What a searchset shows.
pub struct Searchset<'a> {
    /// The service's base URL.
    pub base: &'a str,
    /// Relation and URL.
    pub links: Vec<(&'static str, String)>,
    /// How many matches there are in all.
    pub total: Option<u64>,
    /// What was ignored or left out: the first entry, if there is any.
    pub issues: Vec<OutcomeIssue>,
    /// Resources in order.
    pub entries: Vec<(&'a Version, Mode)>,
    /// How much of each.
    pub summary: Summary,
    /// Only these elements; empty: all.
    pub elements: &'a [String],
}

impl Searchset<'_> {
    /// Its text.
    pub fn write(&self, server: &Server) -> Vec<u8> {
        let size: usize = self.entries.iter().map(|(entry, _)| entry.body.len() + 192).sum();
        let mut json = Json::with_capacity(size + 512);
        json.object(|json| {
            json.member("resourceType", "Bundle")
                .member("id", &Uuid::new_v4().to_string());
            json.name("meta").object(|json| {
                json.member("lastUpdated", &now());
            });
            json.member("type", "searchset");
            if let Some(total) = self.total {
                json.number("total", total);
            }
            json.name("link").array(|json| {
                for (relation, url) in &self.links {
                    json.object(|json| {
                        json.member("relation", relation).member("url", url);
                    });
                }
            });
            if self.entries.is_empty() && self.issues.is_empty() {
                return;
            }
            json.name("entry").array(|json| {
                if !self.issues.is_empty() {
                    self.told(json);
                }
                let mut url = String::new();
                for (entry, mode) in &self.entries {
                    self.shown(server, entry, *mode, &mut url, json);
                }
            });
        });
        json.finish()
    }

    fn told(&self, json: &mut Json) {
        json.object(|json| {
            json.name("resource").raw(&outcome(&self.issues));
            json.name("search").object(|json| {
                json.member("mode", "outcome");
            });
        });
    }

    fn shown(&self, server: &Server, entry: &Version, mode: Mode, url: &mut String, json: &mut Json) {
        json.object(|json| {
            url.clear();
            for part in [self.base, "/", &entry.resource_type, "/", &entry.id] {
                url.push_str(part);
            }
            json.member("fullUrl", url);
            let json = json.name("resource");
            if self.summary == Summary::False && self.elements.is_empty() {
                json.raw(&entry.body);
            } else {
                let body = entry.body.clone();
                json.raw(&subset::of(server.definitions, body, self.summary, self.elements));
            }
            json.name("search").object(|json| {
                json.member("mode", mode.code());
            });
        });
    }
}

/// This moment, as FHIR writes it.
pub fn now() -> String {
    fhir_resource::temporal::instant(jiff::Timestamp::now().as_microsecond())
}
