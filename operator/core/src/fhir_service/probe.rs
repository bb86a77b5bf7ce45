//! Where the operator tries whether Private Link is enforced: a TCP connection from its own pod, which must fail.

use std::collections::BTreeMap;

use super::{Decision, PrivateLink};
use crate::selectors::matches;

/// The port of the Service.
const SERVICE_PORT: u16 = 80;

/// Host and port of the Service to try; `None` if Private Link isn't in force, nothing runs, or the operator's own namespace is allowed.
pub fn probe_target(
    decision: &Decision,
    operator_namespace_labels: &BTreeMap<String, String>,
) -> Option<(String, u16)> {
    let Decision::Run(validated) = decision else {
        return None;
    };
    let PrivateLink::On(namespaces) = &validated.private_link else {
        return None;
    };
    let owner = &validated.owner;
    let tries = !validated.suspended && !matches(namespaces, operator_namespace_labels);
    tries.then(|| (format!("{}.{}.svc", owner.name, owner.namespace), SERVICE_PORT))
}
