//! Who asks, and what they may do.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use fhir_definitions::ResourceType;
use fhir_search::Access;
use fhir_server_settings::Role;

use crate::http::failure::{Failure, Result};

/// The types that an IoT connector works with.
const CONNECTOR_TYPES: [&str; 4] = ["Device", "Encounter", "Observation", "Patient"];

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read, search, history.
    Read,
    /// Create and update.
    Write,
    /// Delete.
    Delete,
}

/// Somebody, with the union of their roles.
#[derive(Debug, Clone, Default)]
pub struct Principal {
    roles: Vec<Role>,
    everything: bool,
}

impl Principal {
    /// Somebody without a role.
    pub fn nobody() -> Arc<Self> {
        static NOBODY: OnceLock<Arc<Principal>> = OnceLock::new();
        Arc::clone(NOBODY.get_or_init(Arc::default))
    }

    /// Anybody, where no token is asked for.
    pub fn anyone() -> Arc<Self> {
        static ANYONE: OnceLock<Arc<Principal>> = OnceLock::new();
        Arc::clone(ANYONE.get_or_init(|| {
            Arc::new(Principal {
                roles: Vec::new(),
                everything: true,
            })
        }))
    }

    /// Somebody with these roles.
    pub fn with(roles: Vec<Role>) -> Self {
        Self {
            roles,
            everything: false,
        }
    }

    /// Whether an action on a type is allowed.
    pub fn may(&self, action: Action, of: ResourceType) -> bool {
        self.everything
            || self.roles.iter().any(|role| match role {
                Role::Reader => action == Action::Read,
                Role::Writer => action != Action::Delete,
                Role::Contributor => true,
                Role::Connector => action != Action::Delete && CONNECTOR_TYPES.contains(&of.name()),
                Role::Unknown => false,
            })
    }

    /// Refuses an action that isn't allowed.
    pub fn require(&self, action: Action, of: ResourceType) -> Result<()> {
        if self.may(action, of) {
            Ok(())
        } else {
            Err(Failure::forbidden())
        }
    }

    /// Refuses whoever may do nothing at all.
    pub fn require_any_role(&self) -> Result<()> {
        let any = self.everything || self.roles.iter().any(|role| *role != Role::Unknown);
        if any { Ok(()) } else { Err(Failure::forbidden()) }
    }

    /// What may be seen, as the predicate that search puts on every node of a plan.
    pub fn visible(&self) -> Access {
        let all = self.everything
            || self
                .roles
                .iter()
                .any(|role| matches!(role, Role::Reader | Role::Writer | Role::Contributor));
        if all {
            return Access::All;
        }
        let connector = self.roles.contains(&Role::Connector);
        Access::Types(if connector {
            CONNECTOR_TYPES.into_iter().collect()
        } else {
            BTreeSet::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use fhir_definitions::FhirVersion;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[Role::Reader], "Condition", [true, false, false])]
    #[case(&[Role::Writer], "Condition", [true, true, false])]
    #[case(&[Role::Contributor], "Condition", [true, true, true])]
    #[case(&[Role::Connector], "Observation", [true, true, false])]
    #[case(&[Role::Connector], "Condition", [false, false, false])]
    #[case(&[Role::Connector, Role::Reader], "Condition", [true, false, false])]
    #[case(&[Role::Unknown], "Patient", [false, false, false])]
    #[case(&[], "Patient", [false, false, false])]
    fn roles(#[case] held: &[Role], #[case] of: &str, #[case] expected: [bool; 3]) {
        let principal = Principal::with(held.to_vec());
        let of = FhirVersion::R4.definitions().resource_type(of).expect("type");
        assert_eq!(
            [Action::Read, Action::Write, Action::Delete].map(|action| principal.may(action, of)),
            expected
        );
        assert_eq!(principal.visible().sees(of.name()), expected[0]);
    }
}
