//! Who asks, and what they may do.

use std::sync::{Arc, OnceLock};

use bearer::Claims;
use fhir_definitions::ResourceType;
use fhir_search::{Access, Rule};
use fhir_server_settings::Role;

use super::scopes::Scopes;
use crate::http::failure::{Failure, Result};

/// The types that an IoT connector works with.
const CONNECTOR_TYPES: [&str; 4] = ["Device", "Encounter", "Observation", "Patient"];
const SEARCH_PARAMETERS: [&str; 1] = ["SearchParameter"];

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Create, with an id that the server gives.
    Create,
    /// Read, vread, and the history of one resource.
    Read,
    /// Search, the history of many resources, and finding what a conditional interaction is about.
    Search,
    /// Update and patch, also where that creates.
    Update,
    /// Delete, as long as the history stays.
    Delete,
    /// Delete with the history.
    HardDelete,
}

impl Action {
    fn reads(self) -> bool {
        matches!(self, Self::Read | Self::Search)
    }

    fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::HardDelete)
    }
}

/// Somebody, with the union of their roles, and within them what the scopes of their app grant.
#[derive(Debug, Clone, Default)]
pub struct Principal {
    roles: Vec<Role>,
    everything: bool,
    scopes: Option<Scopes>,
    identity: Option<Identity>,
}

/// Who somebody is, for the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The token's issuer.
    pub issuer: String,
    /// The user or app: `oid` (Entra ID), else `sub`.
    pub object: Option<String>,
    /// Which app asks, for whom.
    pub claims: Vec<(&'static str, String)>,
}

impl Identity {
    /// What a token says.
    pub fn of(claims: &Claims) -> Self {
        const NAMES: [&str; 6] = ["sub", "oid", "azp", "appid", "client_id", "fhirUser"];
        let text = |name: &str| claims.text(name).map(str::to_owned);
        Self {
            issuer: claims.issuer.clone(),
            object: text("oid").or_else(|| text("sub")),
            claims: NAMES.into_iter().filter_map(|name| Some((name, text(name)?))).collect(),
        }
    }
}

/// The types that a role is about.
enum Types {
    None,
    All,
    These(&'static [&'static str]),
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
                everything: true,
                ..Principal::default()
            })
        }))
    }

    /// Somebody with these roles.
    pub fn with(roles: Vec<Role>) -> Self {
        Self {
            roles,
            ..Self::default()
        }
    }

    /// A SMART app's user: what the scopes grant, within the other roles if there are any.
    pub fn with_scopes(roles: Vec<Role>, scopes: Scopes) -> Self {
        let roles: Vec<_> = roles.into_iter().filter(|role| *role != Role::SmartUser).collect();
        Self {
            everything: roles.is_empty(),
            roles,
            scopes: Some(scopes),
            identity: None,
        }
    }

    /// Known by name.
    #[must_use]
    pub fn known(self, identity: Identity) -> Self {
        Self {
            identity: Some(identity),
            ..self
        }
    }

    /// Who they are, if a token said so.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Which resources an action may be done to: the predicate that search puts on every node of a plan.
    pub fn access(&self, action: Action) -> Access {
        let by_roles = self.by_roles(action);
        match &self.scopes {
            None => by_roles,
            Some(scopes) => within(scopes.rules(action), by_roles),
        }
    }

    /// What may be found.
    pub fn visible(&self) -> Access {
        self.access(Action::Search)
    }

    fn by_roles(&self, action: Action) -> Access {
        if self.everything {
            return Access::All;
        }
        let mut rules = Vec::new();
        for role in &self.roles {
            match types(*role, action) {
                Types::All => return Access::All,
                Types::None => {}
                Types::These(types) => rules.push(Rule {
                    types: Some(types.iter().copied().collect()),
                    ..Rule::default()
                }),
            }
        }
        Access::Rules(rules)
    }

    /// Refuses an action that isn't allowed on any resource of a type.
    pub fn require(&self, action: Action, of: ResourceType) -> Result<()> {
        if self.access(action).sees(of.name()) {
            Ok(())
        } else {
            Err(Failure::forbidden())
        }
    }

    /// Says who this is: what is sealed or kept for one is of no use to another.
    pub fn fingerprint(&self) -> String {
        format!("{self:?}")
    }

    /// Refuses whoever may do nothing at all.
    pub fn require_any_role(&self) -> Result<()> {
        let any_role = |role: &Role| !matches!(role, Role::SmartUser | Role::Unknown);
        let any = self.everything || self.roles.iter().any(any_role);
        let any_scope = self.scopes.as_ref().is_none_or(|scopes| !scopes.is_empty());
        if any && any_scope {
            Ok(())
        } else {
            Err(Failure::forbidden())
        }
    }
}

fn types(role: Role, action: Action) -> Types {
    match role {
        Role::Contributor => Types::All,
        Role::Reader | Role::Exporter if action.reads() => Types::All,
        Role::Writer if !action.deletes() => Types::All,
        Role::Connector if !action.deletes() => Types::These(&CONNECTOR_TYPES),
        Role::SearchParameterManager if action != Action::HardDelete => Types::These(&SEARCH_PARAMETERS),
        Role::Reader
        | Role::Writer
        | Role::Connector
        | Role::Exporter
        | Role::SearchParameterManager
        | Role::SmartUser
        | Role::Unknown => Types::None,
    }
}

/// What both rules and roles allow. Roles only know types.
fn within(rules: Vec<Rule>, roles: Access) -> Access {
    let Access::Rules(roles) = roles else {
        return Access::Rules(rules);
    };
    let allowed: std::collections::BTreeSet<_> = roles.into_iter().filter_map(|role| role.types).flatten().collect();
    let rules = rules.into_iter().map(|rule| Rule {
        types: Some(match rule.types {
            None => allowed.clone(),
            Some(types) => types.intersection(&allowed).copied().collect(),
        }),
        ..rule
    });
    Access::Rules(rules.collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ACTIONS: [Action; 6] = [
        Action::Read,
        Action::Search,
        Action::Create,
        Action::Update,
        Action::Delete,
        Action::HardDelete,
    ];

    #[rstest]
    #[case(&[Role::Reader], "Condition", "rs")]
    #[case(&[Role::Exporter], "Condition", "rs")]
    #[case(&[Role::Writer], "Condition", "rscu")]
    #[case(&[Role::Contributor], "Condition", "rscudD")]
    #[case(&[Role::Connector], "Observation", "rscu")]
    #[case(&[Role::Connector], "Condition", "")]
    #[case(&[Role::Connector, Role::Reader], "Condition", "rs")]
    #[case(&[Role::SearchParameterManager], "SearchParameter", "rscud")]
    #[case(&[Role::SearchParameterManager], "Patient", "")]
    #[case(&[Role::SmartUser], "Patient", "")]
    #[case(&[Role::Unknown], "Patient", "")]
    #[case(&[], "Patient", "")]
    fn roles(#[case] held: &[Role], #[case] of: &str, #[case] expected: &str) {
        let principal = Principal::with(held.to_vec());
        let allowed = ACTIONS
            .into_iter()
            .zip("rscudD".chars())
            .filter(|(action, _)| principal.access(*action).sees(of))
            .map(|(_, letter)| letter);
        assert_eq!(allowed.collect::<String>(), expected);
    }
}
