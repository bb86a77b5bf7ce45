//! Every limit that needs more than one object, once: admission answers with these functions, and the controllers
//! enforce the same ones. What one object can decide is CEL in `fhir-operator-api`.

mod data;
mod mappings;
mod places;
mod private_link;
mod releases;
mod source;
mod supported;

pub use data::{data_is_ours, spool_is_ours};
pub use mappings::inline_mappings_are_valid;
pub use places::{
    connector_needs_r4, connector_needs_service, namespace_has_tenant, quota_of_connectors, quota_of_services,
};
pub(crate) use private_link::asks_for_private_link;
pub use private_link::{connector_keeps_private_link_off, private_link_keeps_connectors_out};
pub use releases::{no_downgrade, no_release, release_is_known};
pub use source::source_is_usable;
pub use supported::{connector_is_supported, service_is_supported};
pub(crate) use supported::{unsupported_of_connector, unsupported_of_service};

use crate::Refusal;

/// What a rule says.
pub type Verdict<T = ()> = Result<T, Refusal>;
