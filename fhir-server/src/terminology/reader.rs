//! Reads stored value sets and code systems into a [`Library`]. Each is looked up anew for each request, so that a change
//! is seen at once, on any replica; only what was read of one version is kept.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use fhir_definitions::Definitions;
use fhir_resource::{Document, Limits, Node};
use fhir_search::parse::Target;
use fhir_search::{Access, Handling, Plan, Sort};
use fhir_storage::Version;

use super::base::Base;
use super::canonical::Canonical;
use super::code_system::CodeSystem;
use super::expand::{Expansion, expand};
use super::kept::Kept;
use super::library::{Identity, Kind, Library, Trace};
use super::problem::Problem;
use super::value_set::ValueSet;
use crate::http::failure::{Failure, Result};
use crate::interactions::search;
use crate::server::Server;

/// The most bytes of stored content that stay read, of each kind.
const MOST_BYTES: usize = 4 << 20;

/// Bodies from here on are parsed elsewhere: it takes a millisecond or more.
const LARGE: usize = 128 << 10;

/// Resources that one search looks at, the ones that were changed last: those of one URL differ in their business version.
const MOST_VERSIONS: usize = 50;

/// URLs that one search asks for.
const URLS_AT_ONCE: usize = 40;

/// Value sets and code systems that one request may look up.
const MOST_LOOKUPS: usize = 2_000;

/// What was read and may be needed again.
pub struct Reader {
    base: Arc<Base>,
    value_sets: Kept<Identity, ValueSet>,
    code_systems: Kept<Identity, CodeSystem>,
    /// By what was asked for and what was found.
    expansions: Kept<(String, Trace), Expansion>,
}

/// What to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A value set, and all that it is made of, by canonical reference.
    ValueSet(String),
    /// A code system by URL.
    CodeSystem(String),
}

impl Reader {
    /// Has read nothing yet.
    pub fn new(definitions: &'static Definitions) -> Self {
        Self {
            base: Arc::new(Base::new(definitions)),
            value_sets: Kept::within(MOST_BYTES),
            code_systems: Kept::within(MOST_BYTES),
            expansions: Kept::within(MOST_BYTES),
        }
    }

    /// The base content alone.
    pub fn base(&self) -> Library {
        Library::of(&self.base)
    }

    async fn value_set(&self, version: &Version) -> Result<Arc<ValueSet>> {
        read(&self.value_sets, version, ValueSet::of, ValueSet::weight).await
    }

    async fn code_system(&self, version: &Version) -> Result<Arc<CodeSystem>> {
        read(&self.code_systems, version, CodeSystem::of, CodeSystem::weight).await
    }

    /// The members of a value set that `library` holds; `asked` says how it was found there, or nothing where it came
    /// with the request.
    pub async fn expand(
        &self,
        library: Library,
        value_set: Arc<ValueSet>,
        asked: Option<String>,
    ) -> Result<Result<Arc<Expansion>, Problem>> {
        let key = asked.map(|asked| (asked, library.trace().clone()));
        if let Some(known) = key.as_ref().and_then(|key| self.expansions.get(key)) {
            return Ok(Ok(known));
        }
        // Thousands of codes take milliseconds, during which the thread would serve nobody.
        let expanded = tokio::task::spawn_blocking(move || expand(&library, &value_set)).await;
        Ok(match expanded.map_err(|error| Failure::internal(&error))? {
            Ok(expansion) => {
                let expansion = Arc::new(expansion);
                if let Some(key) = key {
                    self.expansions.put(key, Arc::clone(&expansion), expansion.weight());
                }
                Ok(expansion)
            }
            Err(problem) => Err(problem),
        })
    }
}

/// Reads a version, unless it was read before.
async fn read<T: Send + Sync + 'static>(
    kept: &Kept<Identity, T>,
    version: &Version,
    of: fn(Document) -> T,
    weight: fn(&T) -> usize,
) -> Result<Arc<T>> {
    let identity = identity(version);
    if let Some(known) = kept.get(&identity) {
        return Ok(known);
    }
    let body = version.body.clone();
    let parse = move || Document::parse(body, Limits::default()).map(of);
    let parsed = if version.body.len() > LARGE {
        let parsed = tokio::task::spawn_blocking(parse).await;
        parsed.map_err(|error| Failure::internal(&error))?
    } else {
        parse()
    };
    let parsed = Arc::new(parsed?);
    kept.put(identity, Arc::clone(&parsed), weight(&parsed));
    Ok(parsed)
}

fn identity(version: &Version) -> Identity {
    (version.id.clone(), version.last_updated)
}

/// A value set that came with the request.
pub fn inline(node: Node<'_>) -> Result<Arc<ValueSet>> {
    Ok(Arc::new(ValueSet::of(Document::parse(node.raw(), Limits::default())?)))
}

/// A code system that came with the request.
pub fn inline_code_system(node: Node<'_>) -> Result<Arc<CodeSystem>> {
    Ok(Arc::new(CodeSystem::of(Document::parse(
        node.raw(),
        Limits::default(),
    )?)))
}

/// The stored value set with this id, what it is made of, and what to call it in [`Reader::expand`].
pub async fn value_set_by_id(server: &Server, access: &Access, id: &str) -> Result<(Library, Arc<ValueSet>, String)> {
    let version = by_id(server, access, "ValueSet", id).await?;
    let found = server.terminology.value_set(&version).await?;
    let library = library(server, access, parts_of(&found)).await?;
    Ok((library, found, format!("ValueSet/{id}@{}", version.last_updated)))
}

/// The stored code system with this id.
pub async fn code_system_by_id(server: &Server, access: &Access, id: &str) -> Result<Arc<CodeSystem>> {
    let version = by_id(server, access, "CodeSystem", id).await?;
    server.terminology.code_system(&version).await
}

/// The base content, and what is stored of `wanted` and of all that it is made of.
pub async fn library(server: &Server, access: &Access, wanted: Vec<Wanted>) -> Result<Library> {
    let mut library = server.terminology.base();
    extend(server, access, &mut library, wanted).await?;
    Ok(library)
}

/// What a value set is made of.
pub fn parts_of(value_set: &ValueSet) -> Vec<Wanted> {
    let systems = value_set.systems().into_iter().map(Wanted::CodeSystem);
    let imports = value_set.imports().map(|import| {
        let version = import.version;
        Wanted::ValueSet(super::canonical::text(import.url, version))
    });
    systems.chain(imports).collect()
}

/// Adds what is stored of `wanted`, of what the library was asked for, and of all that they are made of: level by level, so
/// that a few searches find hundreds of them.
pub async fn extend(server: &Server, access: &Access, library: &mut Library, wanted: Vec<Wanted>) -> Result<()> {
    let mut pending = wanted;
    pending.extend(library.asked().into_iter().map(Wanted::ValueSet));
    let mut seen = HashSet::new();
    let mut lookups = 0;
    while !pending.is_empty() {
        let (mut value_sets, mut code_systems) = (BTreeSet::new(), BTreeSet::new());
        for one in &pending {
            match one {
                Wanted::ValueSet(reference) => value_sets.insert(Canonical::of(reference).url),
                Wanted::CodeSystem(url) => code_systems.insert(url.as_str()),
            };
        }
        value_sets.retain(|url| !library.has_value_sets(url));
        code_systems.retain(|url| !library.has_code_systems(url));
        lookups += value_sets.len() + code_systems.len();
        if lookups > MOST_LOOKUPS {
            return Err(Failure::too_costly());
        }
        let mut found: BTreeMap<&str, Vec<_>> = value_sets.iter().map(|url| (*url, Vec::new())).collect();
        for version in by_urls(server, access, "ValueSet", &value_sets, MOST_VERSIONS).await? {
            let read = server.terminology.value_set(&version).await?;
            if let Some(list) = found.get_mut(read.url.as_str()) {
                list.push((identity(&version), read));
            }
        }
        for (url, list) in found {
            let (identities, read) = list.into_iter().unzip();
            library.found(Kind::ValueSet, url, identities);
            library.add_value_sets(url, read);
        }
        let mut found: BTreeMap<&str, Vec<_>> = code_systems.iter().map(|url| (*url, Vec::new())).collect();
        for version in by_urls(server, access, "CodeSystem", &code_systems, MOST_VERSIONS).await? {
            let read = server.terminology.code_system(&version).await?;
            if let Some(list) = found.get_mut(read.url.as_str()) {
                list.push((identity(&version), read));
            }
        }
        for (url, list) in found {
            let (identities, read) = list.into_iter().unzip();
            library.found(Kind::CodeSystem, url, identities);
            library.add_code_systems(url, read);
        }
        let mut next = Vec::new();
        for one in pending {
            if let Wanted::ValueSet(reference) = one
                && let Some(found) = library.value_set(Canonical::of(&reference))
                && seen.insert(reference)
            {
                next.extend(parts_of(&found));
            }
        }
        pending = next;
    }
    Ok(())
}

/// What is stored under these URLs, of each at most `most` resources.
pub async fn by_urls(
    server: &Server,
    access: &Access,
    of: &str,
    urls: &BTreeSet<&str>,
    most: usize,
) -> Result<Vec<Version>> {
    let mut found = Vec::new();
    let urls: Vec<&str> = urls.iter().copied().collect();
    for some in urls.chunks(URLS_AT_ONCE) {
        let versions = find_any(server, access, of, &[("url", some)], most).await?;
        // Where the page is full, one URL may have taken the place of another.
        if versions.len() == most && some.len() > 1 {
            for url in some {
                found.extend(find_any(server, access, of, &[("url", &[*url])], most).await?);
            }
        } else {
            found.extend(versions);
        }
    }
    Ok(found)
}

async fn by_id(server: &Server, access: &Access, of: &str, id: &str) -> Result<Version> {
    let found = find(server, access, of, &[("_id", Cow::Borrowed(id))]).await?;
    found.into_iter().next().ok_or_else(|| Failure::not_found(of, id))
}

/// Resources that all these search parameters have these values of, the one that was changed last first.
pub async fn find(
    server: &Server,
    access: &Access,
    of: &str,
    parameters: &[(&str, Cow<'_, str>)],
) -> Result<Vec<Version>> {
    let each: Vec<_> = parameters
        .iter()
        .map(|(name, value)| (*name, [value.as_ref()]))
        .collect();
    let each: Vec<_> = each.iter().map(|(name, value)| (*name, &value[..])).collect();
    find_any(server, access, of, &each, MOST_VERSIONS).await
}

/// The same, with several values each, one of which is enough, and at most `most` resources.
pub async fn find_any(
    server: &Server,
    access: &Access,
    of: &str,
    parameters: &[(&str, &[&str])],
    most: usize,
) -> Result<Vec<Version>> {
    let plan = plan(server, access, of, parameters)?;
    Ok(search::page(server, &plan, most, None).await?.entries)
}

/// How resources of a type are found, the ones that were changed last first.
pub fn plan(server: &Server, access: &Access, of: &str, parameters: &[(&str, &[&str])]) -> Result<Plan> {
    let of = server
        .definitions
        .resource_type(of)
        .ok_or_else(Failure::unknown_route)?;
    let pairs: Vec<_> = parameters
        .iter()
        .map(|(name, values)| {
            let values: Vec<String> = values.iter().map(|value| fhir_search::escape(value)).collect();
            ((*name).to_owned(), values.join(","))
        })
        .collect();
    let search = server
        .parser
        .parse(&Target::Type(of), &pairs, Handling::Strict, access)
        .map_err(|error| search::refusal(&error))?;
    Ok(Plan {
        sort: Sort::UpdatedDescending,
        ..search.plan
    })
}
