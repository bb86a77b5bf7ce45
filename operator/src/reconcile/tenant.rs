//! Who has a place. This controller alone decides, on the leader, one tenant at a time: what is given is decided on a
//! live list, and written with the resourceVersion that was listed.

use std::sync::Arc;
use std::time::Duration;

use fhir_operator_api::{FhirService, IoTConnector, Tenant};
use fhir_operator_core::tenant::{self, Admissible, Holder, Place, Placed, Places};
use jiff::Timestamp;
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Context;
use crate::kubernetes::status::{self, StatusError, transitions};
use crate::kubernetes::stored::Stored;
use crate::observe::index::Watched;
use crate::observe::store::{Name, Store};

/// A place is given only when at least this much of the Lease is left: longer than a write is waited for.
const LEASE_LEFT: Duration = Duration::from_secs(5);

/// How long the write of a verdict may take; less than what is left of the Lease.
pub const WRITE_PATIENCE: Duration = Duration::from_secs(4);

/// Why the places of a tenant aren't settled.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// The live list failed.
    #[error("{kind}s can't be listed")]
    List {
        /// Of which kind.
        kind: String,
        /// Why.
        source: kube::Error,
    },
    /// A verdict can't be written; it is judged again.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// A verdict wasn't taken in time.
    #[error("the API server didn't take a verdict within {WRITE_PATIENCE:?}")]
    Slow(#[from] tokio::time::error::Elapsed),
    /// Another replica may lead by now.
    #[error("too little of the Lease is left to give a place")]
    LeaseRunsOut,
}

/// All objects of one tenant, as the index or the API server has them.
struct Membership {
    tenants: Vec<Arc<Tenant>>,
    services: Vec<Arc<FhirService>>,
    connectors: Vec<Arc<IoTConnector>>,
}

impl Membership {
    fn cached(context: &Context, holder: &Holder) -> Self {
        let index = &context.index;
        let tenants = index.tenants.all();
        let namespaces = context.served(tenant::namespaces(holder, &tenants, &context.installation));
        Self {
            services: namespaces
                .iter()
                .flat_map(|namespace| index.fhir_services.in_namespace(namespace))
                .collect(),
            connectors: namespaces
                .iter()
                .flat_map(|namespace| index.iot_connectors.in_namespace(namespace))
                .collect(),
            tenants,
        }
    }

    async fn live(context: &Context, holder: &Holder) -> Result<Self, PlacesError> {
        let client = &context.client;
        let tenants = match &context.watched {
            Watched::Cluster => list(Api::<Stored<Tenant>>::all(client.clone())).await?,
            Watched::Namespaces(_) => Vec::new(),
        };
        let (mut services, mut connectors) = (Vec::new(), Vec::new());
        for namespace in context.served(tenant::namespaces(holder, &tenants, &context.installation)) {
            services.extend(list(Api::<Stored<FhirService>>::namespaced(client.clone(), &namespace)).await?);
            connectors.extend(list(Api::<Stored<IoTConnector>>::namespaced(client.clone(), &namespace)).await?);
        }
        Ok(Self {
            tenants,
            services,
            connectors,
        })
    }

    fn judge(&self, context: &Context, holder: &Holder) -> Places {
        let quota = tenant::quota(holder, &self.tenants, &context.installation);
        tenant::places(holder, quota, &self.services, &self.connectors)
    }
}

/// Settles the places of one tenant.
pub async fn reconcile(holder: &Holder, context: &Context) -> Result<(), PlacesError> {
    // A namespace may be moving between two tenants: they are judged one after the other.
    let _alone = context.places.lock().await;
    let mut membership = Membership::cached(context, holder);
    let mut places = membership.judge(context, holder);
    if places
        .services
        .iter()
        .chain(&places.connectors)
        .any(|placed| placed.place == Place::Given)
    {
        membership = Membership::live(context, holder).await?;
        places = membership.judge(context, holder);
    }
    // An object that somebody changed meanwhile is judged again; the verdicts on the others stand, since they were made
    // together.
    let mut overtaken = Ok(());
    for (service, placed) in membership.services.iter().zip(&places.services) {
        overtaken = overtaken.and(settle(service.as_ref(), placed, &context.index.fhir_services, context).await?);
    }
    for (connector, placed) in membership.connectors.iter().zip(&places.connectors) {
        overtaken = overtaken.and(settle(connector.as_ref(), placed, &context.index.iot_connectors, context).await?);
    }
    overtaken?;
    match holder {
        Holder::Tenant(name) => tell(name, &places, &membership.tenants, context).await,
        Holder::Namespace(_) | Holder::Nobody(_) => Ok(()),
    }
}

/// Writes the condition `Admitted` where it differs; the inner error says that the object has changed since.
async fn settle<K>(
    object: &K,
    placed: &Placed,
    store: &Store<K>,
    context: &Context,
) -> Result<Result<(), StatusError>, PlacesError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Admissible,
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let old = object.conditions();
    let Some(condition) = placed.condition(old, Timestamp::now()) else {
        return Ok(Ok(()));
    };
    if old.contains(&condition) {
        return Ok(Ok(()));
    }
    if placed.place == Place::Given && !context.claim.borrow().leaves(LEASE_LEFT) {
        return Err(PlacesError::LeaseRunsOut);
    }
    let api = Api::<Stored<K>>::namespaced(context.client.clone(), &placed.namespace);
    let changes = transitions(old, std::slice::from_ref(&condition), &[]);
    let status = json!({"conditions": [condition]});
    let version = placed.resource_version.as_deref();
    let write = status::write(
        &api,
        object,
        fhir_operator_core::names::PLACES_FIELD_MANAGER,
        version,
        &status,
    );
    let written = match tokio::time::timeout(WRITE_PATIENCE, write).await? {
        Ok(written) => written,
        Err(error) if error.is_conflict() => return Ok(Err(error)),
        Err(error) => return Err(error.into()),
    };
    // The next round must not wait for the watch to hear of a place that is given already.
    store.refresh(written);
    context.events.report(object, &changes).await;
    Ok(Ok(()))
}

/// Writes the Tenant's own status where it differs.
async fn tell(name: &str, places: &Places, tenants: &[Arc<Tenant>], context: &Context) -> Result<(), PlacesError> {
    let Some(tenant) = context.index.tenants.get(&Name::new("", name)) else {
        return Ok(());
    };
    let status = tenant::status(&tenant, places, tenants, &context.installation, Timestamp::now());
    if tenant.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let old = tenant
        .status
        .as_ref()
        .map(|status| status.conditions.clone())
        .unwrap_or_default();
    let changes = transitions(&old, &status.conditions, &[]);
    let api = Api::<Stored<Tenant>>::all(context.client.clone());
    status::write(
        &api,
        tenant.as_ref(),
        fhir_operator_core::names::FIELD_MANAGER,
        None,
        &status,
    )
    .await?;
    context.events.report(tenant.as_ref(), &changes).await;
    Ok(())
}

/// What is stored now, not what a cache remembers.
async fn list<K>(api: Api<Stored<K>>) -> Result<Vec<Arc<K>>, PlacesError>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let listed = api.list(&ListParams::default()).await;
    let listed = listed.map_err(|source| PlacesError::List {
        kind: K::kind(&()).into_owned(),
        source,
    })?;
    Ok(listed
        .items
        .into_iter()
        .filter_map(|Stored(read)| read.ok().map(Arc::new))
        .collect())
}

/// All objects of one tenant as last seen, for admission.
pub fn cached(context: &Context, holder: &Holder) -> (Vec<Arc<FhirService>>, Vec<Arc<IoTConnector>>) {
    let membership = Membership::cached(context, holder);
    (membership.services, membership.connectors)
}

/// A live look for admission: all objects of one tenant.
pub async fn live(
    context: &Context,
    holder: &Holder,
) -> Result<(Vec<Arc<FhirService>>, Vec<Arc<IoTConnector>>), PlacesError> {
    let membership = Membership::live(context, holder).await?;
    Ok((membership.services, membership.connectors))
}
