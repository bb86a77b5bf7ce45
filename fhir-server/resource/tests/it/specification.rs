//! The profiles of the specification itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use fhir_definitions::{Definitions, FhirVersion};
use fhir_resource::validation::{Profile, Profiles, needs};
use fhir_resource::{Document, Limits};
use rstest::rstest;

/// Compiles a profile when it is first asked for.
pub struct Specification {
    definitions: &'static Definitions,
    known: RefCell<HashMap<String, Option<Arc<Profile>>>>,
}

impl Specification {
    pub fn of(version: FhirVersion) -> Self {
        Self {
            definitions: version.definitions(),
            known: RefCell::default(),
        }
    }

    fn compiled(&self, url: &str) -> Option<Arc<Profile>> {
        let bare = url.split('|').next()?;
        let found = self.definitions.profile(bare).expect("readable")?;
        let definition = Document::parse(found.json.as_bytes(), Limits::default()).expect("JSON");
        let base = needs(definition.root(), self.definitions).map(|base| {
            let found = self.profile(&base);
            found.unwrap_or_else(|| panic!("{url} is based on the unknown {base}"))
        });
        let profile = Profile::compile(definition.root(), self.definitions, base.as_deref());
        Some(Arc::new(profile.unwrap_or_else(|error| panic!("{url}: {error}"))))
    }
}

impl Profiles for Specification {
    fn profile(&self, url: &str) -> Option<Arc<Profile>> {
        let known = self.known.borrow().get(url).cloned();
        known.unwrap_or_else(|| {
            let compiled = self.compiled(url);
            self.known.borrow_mut().insert(url.to_owned(), compiled.clone());
            compiled
        })
    }
}

#[rstest]
#[case(FhirVersion::R4, 430)]
#[case(FhirVersion::Stu3, 400)]
fn every_one_compiles(#[case] version: FhirVersion, #[case] least: usize) {
    let profiles = Specification::of(version);
    let list = version.definitions().profile_list().expect("readable");
    assert!(list.len() >= least, "only {} of {version}", list.len());
    for (url, _) in list {
        assert!(profiles.profile(&url).is_some(), "{url}");
    }
}
