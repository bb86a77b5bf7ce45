//! What a page includes: a walk from its resources along references, in one order on every engine.

use std::collections::HashSet;
use std::ops::Range;

use fhir_search::{Access, Include, ParamId};

use crate::catalogue::Catalogue;
use crate::version::Version;

/// Rounds of `:iterate`, however long a chain is.
pub(crate) const ROUNDS: usize = 10;

/// A resource by name: type and id.
pub(crate) type Name = (String, String);

/// What is included with a page.
#[derive(Debug, Default)]
pub struct Included {
    /// The resources, each once, none of the page itself.
    pub entries: Vec<Version>,
    /// There would have been more.
    pub cut: bool,
}

impl Version {
    pub(crate) fn name(&self) -> Name {
        (self.resource_type.clone(), self.id.clone())
    }
}

/// How far a walk is: what was found, each once, of which the part in the window is given.
pub(crate) struct Walked<'a> {
    pub catalogue: &'a Catalogue,
    access: &'a Access,
    window: Range<usize>,
    /// All that were found, in order.
    names: Vec<Name>,
    seen: HashSet<Name>,
    found: Included,
}

impl<'a> Walked<'a> {
    /// Begins with the resources of a page, which aren't found again.
    pub fn from(page: &[Name], catalogue: &'a Catalogue, access: &'a Access, window: Range<usize>) -> Self {
        Self {
            catalogue,
            access,
            window,
            names: Vec::new(),
            seen: page.iter().cloned().collect(),
            found: Included::default(),
        }
    }

    /// Whether there is more than the window has room for: the walk is over.
    pub fn is_cut(&self) -> bool {
        self.found.cut
    }

    /// How many were found.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// What was found since there were `count`.
    pub fn since(&self, count: usize) -> Vec<Name> {
        self.names.get(count..).unwrap_or_default().to_vec()
    }

    /// What the walk is for.
    pub fn finish(self) -> Included {
        self.found
    }

    /// Resources that one statement has to give at most: so many may be known, and so many are wanted.
    pub fn most(&self) -> i64 {
        let most = self.seen.len().saturating_add(self.window.end).saturating_add(1);
        i64::try_from(most).unwrap_or(i64::MAX)
    }

    /// Whether a resource was found already, or is of a type that isn't seen.
    pub fn is_known(&self, resource_type: &str, id: &str) -> bool {
        !self.access.sees(resource_type) || self.seen.contains(&(resource_type.to_owned(), id.to_owned()))
    }

    /// Adds one that isn't known.
    pub fn take(&mut self, version: Version) {
        if self.names.len() >= self.window.end {
            self.found.cut = true;
            return;
        }
        let name = version.name();
        if self.names.len() >= self.window.start {
            self.found.entries.push(version);
        }
        self.seen.insert(name.clone());
        self.names.push(name);
    }

    /// The numbers of the include's parameters, of all types or of one.
    pub fn parameters(&self, include: &Include, of: Option<&str>) -> Vec<i64> {
        self.numbers(&include.parameters, of)
    }

    /// The parameters that have URLs, of all types or of one.
    pub fn urls(&self, include: &Include, of: Option<&str>) -> Vec<i64> {
        self.numbers(&include.urls, of)
    }

    fn numbers(&self, parameters: &[(&str, ParamId)], of: Option<&str>) -> Vec<i64> {
        let wanted = parameters.iter().filter(|(name, _)| of.is_none_or(|of| of == *name));
        let seen = wanted.filter(|(name, _)| self.access.sees(name));
        seen.map(|(_, param)| self.catalogue.param(*param)).collect()
    }
}
