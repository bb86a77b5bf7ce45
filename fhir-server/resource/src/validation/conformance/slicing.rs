//! Slices: which values belong to which, how many there are, and what holds for them.

use super::members::Member;
use super::rule::{Discriminator, DiscriminatorKind, Rule, Slice, Slicing};
use super::values::{equals, matches};
use super::{CORE, Checker, has_errors};
use crate::document::Node;
use crate::path::Item;

impl<'a> Checker<'_, 'a> {
    /// Sorts the values of an element into slices and checks each.
    pub fn slices(&mut self, name: &str, rule: &Rule, slicing: &Slicing, found: &[Member<'a>]) {
        let mut sorted: Vec<Vec<Member<'a>>> = vec![Vec::new(); rule.slices.len()];
        let (mut last, mut outside) = (0, false);
        for member in found {
            let at = rule
                .slices
                .iter()
                .position(|slice| self.belongs(slice, slicing, member.item));
            self.within(member.name, member.index, |checker| match at {
                Some(at) => {
                    if slicing.ordered && at < last {
                        checker.error(
                            "structure",
                            "Element matches a slice, but the slices are out of order".to_owned(),
                        );
                    }
                    if slicing.open_at_end && outside {
                        checker.error(
                            "structure",
                            "Element matches a slice, but comes after elements of no slice".to_owned(),
                        );
                    }
                    last = last.max(at);
                    sorted[at].push(*member);
                    checker.conform(&rule.slices[at].rule, member.item);
                }
                None => {
                    outside = true;
                    if slicing.closed {
                        let text = "Element does not match any slice and the group is closed.";
                        checker.error("structure", text.to_owned());
                    }
                }
            });
        }
        for (slice, members) in rule.slices.iter().zip(sorted) {
            self.count(name, &slice.rule, members.len());
            if let Some(slicing) = &slice.rule.slicing {
                self.slices(name, &slice.rule, slicing, &members);
            }
        }
    }

    /// Whether a value belongs to a slice.
    fn belongs(&mut self, slice: &Slice, slicing: &Slicing, item: Item<'a>) -> bool {
        if slicing.discriminators.is_empty() {
            let issues = self.tried(|trial| trial.conform(&slice.rule, item));
            return !has_errors(&issues);
        }
        slicing
            .discriminators
            .iter()
            .all(|discriminator| self.fits(slice, discriminator, item))
    }

    fn fits(&mut self, slice: &Slice, discriminator: &Discriminator, item: Item<'a>) -> bool {
        let Some(values) = self.looked_at(discriminator, item) else {
            return false;
        };
        let rules = rules_at(&slice.rule, &discriminator.path);
        let rule = rules.first().copied();
        match discriminator.kind {
            DiscriminatorKind::Exists => {
                let wanted = rule.is_none_or(|rule| rule.max != Some(0));
                values.is_empty() != wanted
            }
            DiscriminatorKind::Type => {
                // After `resolve()` the types are those that the reference may point to.
                let resolves = discriminator.path.ends_with("resolve()");
                let types = rule.map(|rule| &rule.types);
                let names: Vec<&str> = types
                    .into_iter()
                    .flatten()
                    .flat_map(|of| {
                        let targets = of.targets.iter().map(|url| url.strip_prefix(CORE).unwrap_or(url));
                        let own = (!resolves).then_some(of.code.as_str());
                        own.into_iter().chain(targets.filter(|_| resolves))
                    })
                    .collect();
                values
                    .iter()
                    .any(|value| names.iter().any(|name| value.structure.is_a(name)))
            }
            DiscriminatorKind::Profile => {
                let types = rule.into_iter().flat_map(|rule| &rule.types);
                let urls: Vec<&String> = types.flat_map(|of| of.profiles.iter().chain(&of.targets)).collect();
                values.iter().any(|value| {
                    urls.iter().any(|url| {
                        let mut known = false;
                        let issues = self.tried(|trial| known = trial.by_url(*value, url));
                        known && !has_errors(&issues)
                    })
                })
            }
            DiscriminatorKind::Value => self.has_value(slice, discriminator, &rules, &values),
        }
    }

    fn has_value(
        &mut self,
        slice: &Slice,
        discriminator: &Discriminator,
        rules: &[&Rule],
        values: &[Item<'a>],
    ) -> bool {
        // The URL of an extension is that of its profile.
        let profiles: Vec<&str> = slice
            .rule
            .types
            .iter()
            .flat_map(|of| &of.profiles)
            .map(|url| url.split('|').next().unwrap_or(url))
            .collect();
        if discriminator.path == "url" && !profiles.is_empty() {
            return values.iter().any(|value| {
                let url = value.value.and_then(Node::as_str);
                url.is_some_and(|url| profiles.contains(&&*url))
            });
        }
        if rules.is_empty() {
            return inherited(&slice.rule, &discriminator.path).is_none_or(|(pattern, path)| {
                let wanted = path
                    .iter()
                    .try_fold(pattern, |node, name| node.each().next()?.get(name));
                let Some(wanted) = wanted else { return false };
                let wanted = wanted.each().next().unwrap_or(wanted);
                values
                    .iter()
                    .filter_map(|value| value.value)
                    .any(|value| matches(value, wanted))
            });
        }
        // of an element that is sliced itself, one of its slices says what it is
        let said = |value: &Item<'a>| {
            let told: Vec<bool> = rules.iter().filter_map(|rule| self.tells(rule, *value)).collect();
            told.is_empty() || told.contains(&true)
        };
        values.iter().any(said)
    }

    /// Whether a value is what `rule` says by fixed values, patterns and required codes; `None` if it says nothing.
    fn tells(&self, rule: &Rule, item: Item<'a>) -> Option<bool> {
        if let Some(fixed) = &rule.fixed {
            return Some(item.value.is_some_and(|value| equals(value, fixed.root())));
        }
        if let Some(pattern) = &rule.pattern {
            return Some(item.value.is_some_and(|value| matches(value, pattern.root())));
        }
        let mut all = None;
        for (name, child) in &rule.children {
            let found = super::members::members(item, name);
            let told: Vec<Option<bool>> = found.iter().map(|member| self.tells(child, member.item)).collect();
            let says = said(child);
            if says && !told.contains(&Some(true)) {
                return Some(false);
            }
            all = all.or(says.then_some(true));
        }
        all.or_else(|| rule.binding.as_ref().and_then(|binding| self.is_bound(binding, &item)))
    }
}

/// Whether a rule, or one in it, fixes a value.
fn said(rule: &Rule) -> bool {
    rule.fixed.is_some() || rule.pattern.is_some() || rule.children.iter().any(|(_, child)| said(child))
}

/// The steps of a discriminator's path.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('.').filter(|step| *step != "$this" && *step != "resolve()")
}

/// The rules that a discriminator's path leads to: that of the element, then those of its slices.
fn rules_at<'r>(rule: &'r Rule, path: &str) -> Vec<&'r Rule> {
    let mut rules = vec![rule];
    let mut rest = path.strip_prefix("$this.").unwrap_or(path);
    while !rest.is_empty() && rest != "$this" {
        if let Some(after) = rest.strip_prefix("extension(") {
            let Some((url, after)) = after.split_once(')') else {
                return Vec::new();
            };
            let url = url.trim_matches(['\'', '"']);
            let named = |slice: &&Slice| {
                let mut types = slice.rule.types.iter();
                types.any(|of| of.profiles.iter().any(|profile| profile == url))
            };
            let extensions = rules.iter().filter_map(|rule| rule.child("extension"));
            rules = extensions
                .flat_map(|extension| extension.slices.iter().filter(named))
                .map(|slice| &slice.rule)
                .collect();
            rest = after.trim_start_matches('.');
            continue;
        }
        let (step, after) = rest.split_once('.').unwrap_or((rest, ""));
        rest = after;
        if step == "resolve()" || step.starts_with("ofType(") {
            continue;
        }
        let children: Vec<&Rule> = rules.iter().filter_map(|rule| rule.child(step)).collect();
        let slices = children.iter().flat_map(|child| &child.slices);
        rules = children
            .iter()
            .copied()
            .chain(slices.map(|slice| &slice.rule))
            .collect();
    }
    rules
}

/// The pattern (or fixed value) of a rule above the one that a path leads to, with the rest of the path.
fn inherited<'r, 'p>(rule: &'r Rule, path: &'p str) -> Option<(Node<'r>, Vec<&'p str>)> {
    let steps: Vec<&str> = steps(path).collect();
    let mut rule = rule;
    for at in 0..=steps.len() {
        if let Some(value) = rule.pattern.as_ref().or(rule.fixed.as_ref()) {
            return Some((value.root(), steps[at..].to_vec()));
        }
        rule = rule.child(steps.get(at)?)?;
    }
    None
}
