//! An IoTConnector: observe → core → apply → status.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fhir_operator_api::{ConditionType, IoTConnector, IoTConnectorStatus};
use fhir_operator_core::iot_connector::{self as core, Children, Decision, Validated, World};
use fhir_operator_core::names::{self, Owner};
use fhir_operator_core::tenant::Admissible;
use fhir_operator_core::{conditions, is_paused, tenant};
use futures::future::join_all;
use iot_connector_settings::MANAGEMENT_PORT;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::children::{REFUSED, Round};
use super::{Context, ReconcileError, device_keys, misfits};
use crate::kubernetes::status::{self, transitions};
use crate::kubernetes::stored::Stored;
use crate::observe::pages;
use crate::observe::pods::{children_of, ready_pod, ready_pods};
use crate::observe::store::{Name, Seen};

/// One look at one connector; gives when to look again at the latest.
pub async fn reconcile(name: &Name, context: &Context) -> Result<Option<Duration>, ReconcileError> {
    let connector = match context.index.iot_connectors.seen(name) {
        Some(Seen::Fits(connector)) if connector.metadata.deletion_timestamp.is_none() => connector,
        Some(Seen::Misfit(misfit)) => {
            misfits::tell::<IoTConnector>(&misfit, context).await?;
            return Ok(None);
        }
        // Its children have owner references: the garbage collector takes what isn't retained.
        Some(Seen::Fits(_)) | None => return Ok(None),
    };
    if conditions::find(connector.conditions(), ConditionType::Admitted).is_none() {
        // Its place is about to be decided; there is nothing to say before.
        return Ok(None);
    }
    let mut world = observe(&connector, context).await;
    let mut decision = core::decide(&connector, &world);
    if !is_paused(&connector.metadata)
        && let Decision::Run(validated) = &decision
        && let Some(children) = core::children(&decision, &world)
    {
        let owner = validated.owner.clone();
        let mut round = Round::new(context, &owner.namespace, &owner.uid);
        check(&children, &mut round, context).await?;
        if round.foreign().is_empty() {
            world.keys = Box::pin(apply(children, validated, &mut round, context)).await?;
        }
        world.foreign = round.foreign();
        if world.foreign.is_empty() {
            world.refused = round.finish().await?;
        } else {
            decision = core::decide(&connector, &world);
        }
    }
    let status = core::status(&connector, &decision, &world);
    write(&connector, &status, context).await?;
    Ok(again(&decision, &world))
}

async fn observe(connector: &Arc<IoTConnector>, context: &Context) -> World {
    let index = &context.index;
    let owner = Owner::connector(connector);
    let namespace = owner.namespace.as_str();
    let named = |name: String| Name::new(namespace, &name);
    let pods = children_of(&index.pods.in_namespace(namespace), &owner);
    let asked = ready_pods(&pods).map(|(uid, ip)| async move {
        let page = pages::status_page(ip, MANAGEMENT_PORT);
        context
            .connector_pages
            .ask(&uid, pages::connector_page_is_fresh, page)
            .await
    });
    let pages = join_all(asked).await;
    let page = pages.into_iter().flatten().reduce(pages::together);
    World {
        now: Timestamp::now(),
        installation: Arc::clone(&context.installation),
        tenant: tenant::holder(namespace, &index.tenants.all(), &context.installation),
        service: index.fhir_services.get(&named(connector.spec.fhir_service.clone())),
        mappings: mappings(connector, context),
        kept_mapping: index.config_maps.get(&named(owner.child_part("mapping"))),
        keys: index.config_maps.get(&named(owner.child_part("keys"))),
        stateful_set: index.stateful_sets.get(&named(owner.child())),
        volume_claim: index.claims.get(&named(owner.child_part("data"))),
        foreign: Vec::new(),
        refused: Vec::new(),
        pods,
        page,
    }
}

/// The ConfigMaps that the connector names, of those that are labelled as mappings.
fn mappings(connector: &IoTConnector, context: &Context) -> BTreeMap<String, Arc<ConfigMap>> {
    let namespace = connector.metadata.namespace.as_deref().unwrap_or_default();
    [&connector.spec.device_mapping, &connector.spec.fhir_mapping]
        .into_iter()
        .flatten()
        .filter_map(|mapping| mapping.config_map.as_deref())
        .filter_map(|name| {
            Some((
                name.to_owned(),
                context.index.mappings.get(&Name::new(namespace, name))?,
            ))
        })
        .collect()
}

async fn check(children: &Children, round: &mut Round<'_>, context: &Context) -> Result<(), ReconcileError> {
    let Children {
        service_account,
        network_policy,
        settings,
        mapping,
        keys,
        missing_keys: _,
        volume_claim,
        disruption_budget,
        service,
        stateful_set,
    } = children;
    let index = &context.index;
    round.check(service_account, &index.service_accounts).await?;
    round.check(network_policy, &index.network_policies).await?;
    round.check(settings, &index.config_maps).await?;
    if let Some(mapping) = mapping {
        round.check(mapping, &index.config_maps).await?;
    }
    round.check(keys, &index.config_maps).await?;
    if let Some(volume_claim) = volume_claim {
        round.check(volume_claim, &index.claims).await?;
    }
    if let Some(budget) = disruption_budget {
        round.check(budget, &index.budgets).await?;
    }
    round.check(service, &index.services).await?;
    round.check(stateful_set, &index.stateful_sets).await
}

/// The policy before anything listens, keys and mapping before the pod that reads them, the workload last. Gives the
/// keys as they are afterwards.
async fn apply(
    children: Children,
    validated: &Validated,
    round: &mut Round<'_>,
    context: &Context,
) -> Result<Option<Arc<ConfigMap>>, ReconcileError> {
    let Children {
        service_account,
        network_policy,
        settings,
        mapping,
        keys,
        missing_keys,
        volume_claim,
        disruption_budget,
        service,
        stateful_set,
    } = children;
    let index = &context.index;
    round.apply(&service_account, &index.service_accounts).await?;
    round.apply(&network_policy, &index.network_policies).await?;
    round.apply(&settings, &index.config_maps).await?;
    if let Some(mapping) = &mapping {
        round.apply(mapping, &index.config_maps).await?;
    }
    let keys = device_keys::settle(keys, &missing_keys, validated, round, context).await?;
    if let Some(volume_claim) = &volume_claim {
        round.apply(volume_claim, &index.claims).await?;
    }
    if let Some(budget) = &disruption_budget {
        round.apply(budget, &index.budgets).await?;
    }
    round.apply(&service, &index.services).await?;
    round.apply(&stateful_set, &index.stateful_sets).await?;
    Ok(Some(Arc::new(keys)))
}

async fn write(connector: &IoTConnector, status: &IoTConnectorStatus, context: &Context) -> Result<(), ReconcileError> {
    let old = connector.status.clone().unwrap_or_default();
    let told = old.conditions.clone();
    let before = IoTConnectorStatus {
        conditions: status::without_place(&old.conditions),
        ..old
    };
    let after = IoTConnectorStatus {
        conditions: status::without_place(&status.conditions),
        ..status.clone()
    };
    if before == after {
        return Ok(());
    }
    let namespace = connector.metadata.namespace.as_deref().unwrap_or_default();
    let api = Api::<Stored<IoTConnector>>::namespaced(context.client.clone(), namespace);
    let written = status::write(&api, connector, names::FIELD_MANAGER, None, &after).await?;
    context.index.iot_connectors.refresh(written);
    let changes = transitions(&before.conditions, &after.conditions, &told);
    context.events.report(connector, &changes).await;
    Ok(())
}

fn again(decision: &Decision, world: &World) -> Option<Duration> {
    let next = decision
        .next()
        .map(|at| Duration::try_from(at.duration_since(world.now)).unwrap_or(Duration::ZERO));
    let refused = (!world.foreign.is_empty() || !world.refused.is_empty()).then_some(REFUSED);
    let page = ready_pod(&world.pods).map(|_| pages::connector_page_is_fresh(&world.page));
    [next, refused, page].into_iter().flatten().min()
}
