//! What the rules say of a resource, by the profiles, the definitions of extensions and the value sets that are stored here.
//!
//! Profiles are looked up and compiled anew for each validation (a fraction of a millisecond each), so that a change is seen
//! at once, on any replica, and nothing is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use fhir_definitions::Definitions;
use fhir_resource::validation::{
    Findings, Issue, Knowledge, Lacking, Library, Profile, Profiles, Severity, findings, needs,
};
use fhir_resource::{Document, Limits, Micros};
use fhir_search::Access;

use crate::http::failure::{Failure, Result};
use crate::server::Server;
use crate::terminology::reader::Wanted;
use crate::terminology::{self, reader};

/// Profiles name others, which name others: what isn't known after so many rounds stays unknown.
const MOST_ROUNDS: usize = 8;
/// Profiles that are read with one URL, the latest ones.
const MOST_FOUND: usize = 200;
/// Profiles that one validation may look up.
const MOST_PROFILES: usize = 400;
/// Profiles that are based on each other.
const MOST_BASES: usize = 16;

/// What the invariants, the bindings, the profiles that `document` claims, and those of `asked` say of it.
pub async fn issues(server: &Server, access: &Access, document: Document, asked: Vec<String>) -> Result<Vec<Issue>> {
    let mut work = Work {
        document,
        asked,
        stored: Stored::default(),
        library: Arc::clone(&server.rules),
        terminology: server.terminology.base(),
        definitions: server.definitions,
        now: jiff::Timestamp::now().as_microsecond(),
    };
    let mut round = 0;
    loop {
        // It may take a second for a large bundle, during which the thread would serve nobody.
        let (done, found) = tokio::task::spawn_blocking(move || {
            let found = work.findings();
            (work, found)
        })
        .await
        .map_err(|error| Failure::internal(&error))?;
        work = done;
        round += 1;
        if round == MOST_ROUNDS || !work.extend(server, access, &found.lacking).await? {
            let mut issues = found.issues;
            issues.extend(work.stored.unusable());
            return Ok(issues);
        }
    }
}

/// A validation in progress.
struct Work {
    document: Document,
    asked: Vec<String>,
    stored: Stored,
    library: Arc<Library>,
    terminology: terminology::Library,
    definitions: &'static Definitions,
    now: Micros,
}

impl Work {
    /// Looks up what is lacking; whether anything was found.
    async fn extend(&mut self, server: &Server, access: &Access, lacking: &BTreeSet<Lacking>) -> Result<bool> {
        let profiles = self.stored.extend(server, access, lacking).await?;
        let value_sets = lacking.iter().filter_map(|lacking| match lacking {
            Lacking::ValueSet(url) => Some(Wanted::ValueSet(url.clone())),
            Lacking::Profile(_) => None,
        });
        let before = self.terminology.stored();
        reader::extend(server, access, &mut self.terminology, value_sets.collect()).await?;
        Ok(profiles || self.terminology.stored() > before)
    }

    fn findings(&self) -> Findings {
        let knowledge = Knowledge {
            definitions: self.definitions,
            library: &self.library,
            profiles: &self.stored,
            terminology: &self.terminology,
            now: self.now,
        };
        findings(&knowledge, &self.document, &self.asked)
    }
}

/// What was looked up.
#[derive(Default)]
struct Stored {
    /// Everything that was asked for, by canonical reference.
    profiles: HashMap<String, Option<Arc<Profile>>>,
    /// `StructureDefinition`s by URL, the one that was changed last first.
    definitions: HashMap<String, Vec<Document>>,
    /// What is stored but can't be used, with the reason.
    broken: BTreeMap<String, String>,
}

impl Profiles for Stored {
    fn profile(&self, url: &str) -> Option<Arc<Profile>> {
        self.profiles.get(url)?.clone()
    }
}

impl Stored {
    /// Looks up what is lacking; whether anything was found.
    async fn extend(&mut self, server: &Server, access: &Access, lacking: &BTreeSet<Lacking>) -> Result<bool> {
        let wanted: Vec<String> = lacking
            .iter()
            .filter_map(|lacking| match lacking {
                Lacking::Profile(url) if !self.profiles.contains_key(url) => Some(url.clone()),
                Lacking::Profile(_) | Lacking::ValueSet(_) => None,
            })
            .take(MOST_PROFILES.saturating_sub(self.profiles.len()))
            .collect();
        let mut urls: BTreeSet<String> = wanted.iter().map(|url| bare(url).to_owned()).collect();
        for _ in 0..MOST_BASES {
            urls.retain(|url| !self.definitions.contains_key(url));
            if urls.is_empty() {
                break;
            }
            self.read(server, access, &urls).await?;
            // A profile may be based on one that nobody has asked for yet.
            urls = urls
                .iter()
                .flat_map(|url| self.definitions.get(url).into_iter().flatten())
                .filter_map(|definition| needs(definition.root(), server.definitions))
                .map(|base| bare(&base).to_owned())
                .collect();
        }
        let mut found = false;
        for url in wanted {
            let profile = self.compiled(server.definitions, &url, 0);
            found |= profile.is_some();
            self.profiles.insert(url, profile);
        }
        Ok(found)
    }

    /// Reads the `StructureDefinition`s with these URLs.
    async fn read(&mut self, server: &Server, access: &Access, urls: &BTreeSet<String>) -> Result<()> {
        let wanted: BTreeSet<&str> = urls.iter().map(String::as_str).collect();
        for url in urls {
            self.definitions.entry(url.clone()).or_default();
        }
        for version in reader::by_urls(server, access, "StructureDefinition", &wanted, MOST_FOUND).await? {
            let document = Document::parse(version.body, Limits::default())?;
            let Some(url) = document.root().text_of("url").map(std::borrow::Cow::into_owned) else {
                continue;
            };
            self.definitions.entry(url).or_default().push(document);
        }
        // what is stored goes before what the specification says
        for url in urls {
            if let Some(document) = built_in(server.definitions, url) {
                self.definitions.entry(url.clone()).or_default().push(document);
            }
        }
        Ok(())
    }

    fn compiled(&mut self, definitions: &'static Definitions, url: &str, depth: usize) -> Option<Arc<Profile>> {
        let (bare, version) = url
            .split_once('|')
            .map_or((url, None), |(bare, version)| (bare, Some(version)));
        let stored = self.definitions.get(bare)?;
        let is_wanted = |document: &&Document| {
            version.is_none_or(|version| document.root().text_of("version").is_some_and(|own| own == version))
        };
        let definition = stored.iter().find(is_wanted)?.clone();
        let base = needs(definition.root(), definitions).filter(|_| depth < MOST_BASES);
        let base = base.and_then(|base| self.compiled(definitions, &base, depth + 1));
        match Profile::compile(definition.root(), definitions, base.as_deref()) {
            Ok(profile) => Some(Arc::new(profile)),
            Err(error) => {
                self.broken.insert(url.to_owned(), error.to_string());
                None
            }
        }
    }

    /// What is said of profiles that are stored but can't be used.
    fn unusable(&self) -> impl Iterator<Item = Issue> {
        self.broken.iter().map(|(url, reason)| Issue {
            severity: Severity::Warning,
            code: "not-supported",
            diagnostics: format!("The profile '{url}' can't be used: {reason}"),
            expression: String::new(),
            tolerated: true,
        })
    }
}

/// A profile of the specification's own.
fn built_in(definitions: &'static Definitions, url: &str) -> Option<Document> {
    let found = definitions
        .profile(url)
        .inspect_err(|error| tracing::error!(url, %error, "a profile can't be read"))
        .ok()??;
    Document::parse(found.json.as_bytes(), Limits::default()).ok()
}

/// A canonical reference without its version.
fn bare(url: &str) -> &str {
    url.split('|').next().unwrap_or(url)
}
