//! A FhirService: observe → core → apply → status.

use std::sync::Arc;
use std::time::Duration;

use fhir_operator_api::{ConditionType, FhirService, FhirServiceStatus};
use fhir_operator_core::fhir_service::children::MANAGEMENT_PORT;
use fhir_operator_core::fhir_service::{self as core, Children, World};
use fhir_operator_core::names::{self, Owner};
use fhir_operator_core::tenant::Admissible;
use fhir_operator_core::{conditions, is_paused, tenant};
use jiff::Timestamp;
use kube::Api;

use super::children::{REFUSED, Round};
use super::{Context, ReconcileError, misfits};
use crate::kubernetes::status::{self, transitions};
use crate::kubernetes::stored::Stored;
use crate::observe::pages;
use crate::observe::pods::{children_of, ready_pod};
use crate::observe::store::{Name, Seen};

/// One look at one service; gives when to look again at the latest.
pub async fn reconcile(name: &Name, context: &Context) -> Result<Option<Duration>, ReconcileError> {
    let service = match context.index.fhir_services.seen(name) {
        Some(Seen::Fits(service)) if service.metadata.deletion_timestamp.is_none() => service,
        Some(Seen::Misfit(misfit)) => {
            misfits::tell::<FhirService>(&misfit, context).await?;
            return Ok(None);
        }
        // Its children have owner references: the garbage collector takes what isn't retained.
        Some(Seen::Fits(_)) | None => return Ok(None),
    };
    if conditions::find(service.conditions(), ConditionType::Admitted).is_none() {
        // Its place is about to be decided; there is nothing to say before.
        return Ok(None);
    }
    let mut world = observe(&service, context).await;
    let mut decision = core::decide(&service, &world);
    if !is_paused(&service.metadata)
        && let Some(children) = core::children(&decision, &world)
    {
        let owner = Owner::service(&service);
        let mut round = Round::new(context, &owner.namespace, &owner.uid);
        check(&children, &mut round, context).await?;
        world.foreign = round.foreign();
        if world.foreign.is_empty() {
            apply(children, &mut round, context).await?;
            world.refused = round.finish().await?;
        } else {
            decision = core::decide(&service, &world);
        }
    }
    world.probe = probe(&decision, &world, context).await;
    let status = core::status(&service, &decision, &world);
    write(&service, &status, context).await?;
    Ok(again(&decision, &world))
}

async fn observe(service: &Arc<FhirService>, context: &Context) -> World {
    let index = &context.index;
    let owner = Owner::service(service);
    let namespace = owner.namespace.as_str();
    let named = |name: String| Name::new(namespace, &name);
    let pods = children_of(&index.pods.in_namespace(namespace), &owner);
    let page = match ready_pod(&pods) {
        None => None,
        Some((uid, ip)) => {
            let page = pages::status_page(ip, MANAGEMENT_PORT);
            context.server_pages.ask(&uid, pages::page_is_fresh, page).await
        }
    };
    let mut connectors = index.iot_connectors.in_namespace(namespace);
    connectors.retain(|connector| connector.spec.fhir_service == owner.name);
    World {
        now: Timestamp::now(),
        installation: Arc::clone(&context.installation),
        tenant: tenant::holder(namespace, &index.tenants.all(), &context.installation),
        connectors,
        stateful_set: index.stateful_sets.get(&named(owner.child())),
        volume_claim: index.claims.get(&named(owner.child_part("data"))),
        network_policies: index.network_policies.in_namespace(namespace),
        foreign: Vec::new(),
        refused: Vec::new(),
        cluster_issuer: context.issuer.get().as_deref().cloned(),
        pods,
        page,
        probe: None,
    }
}

/// Whether the FHIR port answers this pod in spite of Private Link.
async fn probe(decision: &core::Decision, world: &World, context: &Context) -> Option<core::PolicyProbe> {
    let (pod, _) = ready_pod(&world.pods)?;
    let own = context
        .index
        .namespaces
        .get(&Name::new("", &context.installation.operator_namespace));
    let labels = own
        .and_then(|namespace| namespace.metadata.labels.clone())
        .unwrap_or_default();
    let (host, port) = core::probe_target(decision, &labels)?;
    let probe = async { Some(pages::probe(&host, port).await) };
    context.probes.ask(&pod, pages::probe_is_fresh, probe).await
}

async fn check(children: &Children, round: &mut Round<'_>, context: &Context) -> Result<(), ReconcileError> {
    let Children {
        service_account,
        network_policy,
        settings,
        access,
        volume_claim,
        service,
        stateful_set,
    } = children;
    let index = &context.index;
    round.check(service_account, &index.service_accounts).await?;
    round.check(network_policy, &index.network_policies).await?;
    round.check(settings, &index.config_maps).await?;
    round.check(access, &index.config_maps).await?;
    round.check(volume_claim, &index.claims).await?;
    round.check(service, &index.services).await?;
    round.check(stateful_set, &index.stateful_sets).await
}

/// The policy before anything listens, the volume with its schema before the pod template, the workload last.
async fn apply(children: Children, round: &mut Round<'_>, context: &Context) -> Result<(), ReconcileError> {
    let Children {
        service_account,
        network_policy,
        settings,
        access,
        volume_claim,
        service,
        stateful_set,
    } = children;
    let index = &context.index;
    round.apply(&service_account, &index.service_accounts).await?;
    round.apply(&network_policy, &index.network_policies).await?;
    round.apply(&settings, &index.config_maps).await?;
    round.apply(&access, &index.config_maps).await?;
    round.apply(&volume_claim, &index.claims).await?;
    round.apply(&service, &index.services).await?;
    round.apply(&stateful_set, &index.stateful_sets).await
}

async fn write(service: &FhirService, status: &FhirServiceStatus, context: &Context) -> Result<(), ReconcileError> {
    let old = service.status.clone().unwrap_or_default();
    let told = old.conditions.clone();
    let before = FhirServiceStatus {
        conditions: status::without_place(&old.conditions),
        ..old
    };
    let after = FhirServiceStatus {
        conditions: status::without_place(&status.conditions),
        ..status.clone()
    };
    if before == after {
        return Ok(());
    }
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let api = Api::<Stored<FhirService>>::namespaced(context.client.clone(), namespace);
    let written = status::write(&api, service, names::FIELD_MANAGER, None, &after).await?;
    context.index.fhir_services.refresh(written);
    let changes = transitions(&before.conditions, &after.conditions, &told);
    context.events.report(service, &changes).await;
    Ok(())
}

fn again(decision: &core::Decision, world: &World) -> Option<Duration> {
    let next = decision
        .next()
        .map(|at| Duration::try_from(at.duration_since(world.now)).unwrap_or(Duration::ZERO));
    let refused = (!world.foreign.is_empty() || !world.refused.is_empty()).then_some(REFUSED);
    let probed = world.probe.map(|probe| pages::probe_is_fresh(&Some(probe)));
    let page = (world.page.is_none() && ready_pod(&world.pods).is_some()).then_some(pages::REPEAT);
    [next, refused, probed, page].into_iter().flatten().min()
}
