//! The walk over a value by the rules of profiles.

use fhir_definitions::Structure;

use super::members::{Member, members};
use super::rule::Rule;
use super::{CORE, Checker, DEEPEST, Lacking, MOST_ISSUES, Profile};
use crate::path::Item;
use crate::validation::Severity;

impl<'a> Checker<'_, 'a> {
    /// A profile that the caller names.
    pub fn asked(&mut self, item: Item<'a>, url: &str) {
        if !self.by_url(item, url) {
            let text = format!("Unable to resolve reference to profile '{url}'");
            self.error("not-found", text);
        }
    }

    /// A profile that the resource claims.
    pub fn claimed(&mut self, item: Item<'a>, url: &str) {
        if !self.by_url(item, url) {
            let text = format!("Unable to resolve reference to profile '{url}'");
            self.within("meta", None, |checker| {
                checker.within("profile", None, |checker| {
                    checker.issue(Severity::Warning, "not-found", text);
                });
            });
        }
    }

    /// Checks an extension by its definition, where that is stored.
    pub fn extension(&mut self, item: Item<'a>, url: &str) {
        match self.shared.knowledge.profiles.profile(url) {
            Some(profile) => self.profile(&profile, item),
            None => {
                self.findings.lacking.insert(Lacking::Profile(url.to_owned()));
            }
        }
    }

    /// Checks `item` by a profile; `false` if nobody knows it.
    pub fn by_url(&mut self, item: Item<'a>, url: &str) -> bool {
        if let Some(profile) = self.shared.knowledge.profiles.profile(url) {
            self.profile(&profile, item);
            return true;
        }
        let name = url.split('|').next().and_then(|url| url.strip_prefix(CORE));
        if let Some(structure) = name.and_then(|name| self.shared.knowledge.definitions.structure(name)) {
            if !item.structure.is_a(structure.name()) {
                self.wrong_type(item, url, structure);
            }
            return true;
        }
        self.findings.lacking.insert(Lacking::Profile(url.to_owned()));
        false
    }

    pub fn wrong_type(&mut self, item: Item<'a>, url: &str, wanted: Structure) {
        let text = format!(
            "The profile '{url}' is for the type '{}', not for '{}'.",
            wanted.name(),
            item.structure.name()
        );
        self.error("structure", text);
    }

    pub fn profile(&mut self, profile: &Profile, item: Item<'a>) {
        if self.depth > DEEPEST {
            return;
        }
        if !item.structure.is_a(profile.of.name()) {
            return self.wrong_type(item, &profile.url, profile.of);
        }
        self.depth += 1;
        self.conform(&profile.rule, item);
        self.depth -= 1;
    }

    /// One value and what is in it, by the rules of a profile.
    pub fn conform(&mut self, rule: &Rule, item: Item<'a>) {
        if self.shared.budget.left() == 0 || self.findings.issues.len() >= MOST_ISSUES {
            return;
        }
        self.value_rules(rule, item);
        for (name, child) in &rule.children {
            let found = members(item, name);
            self.group(name, child, &found);
        }
    }

    /// All values of an element.
    pub fn group(&mut self, name: &str, rule: &Rule, found: &[Member<'a>]) {
        self.count(name, rule, found.len());
        for member in found {
            self.within(member.name, member.index, |checker| {
                checker.conform(rule, member.item);
                checker.content(rule, member.item);
            });
        }
        if let Some(slicing) = &rule.slicing {
            self.slices(name, rule, slicing, found);
        }
    }

    /// What refers to the content of the element that it is in (`Questionnaire.item.item`) keeps the rules of that element,
    /// unless the profile says something of its own there.
    fn content(&mut self, rule: &Rule, item: Item<'a>) {
        let structure = item.structure;
        // backbone elements have no URL: an extension in an extension is another matter
        if !structure.url().is_empty() {
            return;
        }
        for slot in 0..structure.slot_count() {
            let (name, ..) = structure.slot(slot);
            let refers = structure
                .elements_named(name)
                .any(|element| element.structure() == structure);
            if !refers || rule.child(name).is_some() {
                continue;
            }
            for member in members(item, name) {
                self.within(member.name, member.index, |checker| {
                    checker.conform(rule, member.item);
                    checker.content(rule, member.item);
                });
            }
        }
    }

    pub fn count(&mut self, name: &str, rule: &Rule, count: usize) {
        let too_few = count < rule.min as usize;
        let too_many = rule.max.is_some_and(|max| count > max as usize);
        if too_few || too_many {
            let max = rule.max.map_or_else(|| "*".to_owned(), |max| max.to_string());
            let text = format!(
                "Instance count for '{}' is {count}, which is not within the specified cardinality of {}..{max}",
                rule.id, rule.min
            );
            let code = if too_few { "required" } else { "structure" };
            self.within(name, None, |checker| checker.error(code, text));
        }
    }
}
