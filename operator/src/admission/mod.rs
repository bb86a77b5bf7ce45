//! The rules behind HTTPS: answers at once what the controllers would decide a moment later.
//!
//! A courtesy: whatever goes wrong here lets the request pass, and the controllers decide.

mod review;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use fhir_operator_api::{FhirService, IoTConnector, Tenant};
use fhir_operator_core::admission::{self as rules, AdmissionWorld, Judgement};
use fhir_operator_core::names::Owner;
use serde_json::Value;

pub use review::{Review, ReviewError};

use crate::observe::store::Name;
use crate::reconcile::{Context, tenant};

/// The largest request: two objects of the largest size that etcd takes, and their envelope.
const LARGEST: usize = 4 * 1024 * 1024;

/// How long the live look may take; the API server waits three seconds in all.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The route that the webhook configuration names.
pub fn routes(context: Arc<Context>) -> Router {
    Router::new()
        .route("/admission", post(admit))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(context)
}

async fn admit(
    State(context): State<Arc<Context>>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let review = Review::read(&body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let judgement = match judge(&review, &context).await {
        Ok(judgement) => judgement,
        Err(error) => {
            // The schema has judged the object already; what we can't read of it is the controllers' to tell.
            tracing::warn!(
                kind = review.kind,
                error = daemon::process::describe(&error),
                "not judged"
            );
            Judgement::default()
        }
    };
    if let Some(denial) = &judgement.denial {
        let reason = denial.reason.name();
        tracing::info!(
            kind = review.kind,
            namespace = review.namespace,
            name = review.name,
            reason,
            "denied"
        );
    }
    Ok(Json(review.answer(&judgement)))
}

async fn judge(review: &Review, context: &Context) -> Result<Judgement, ReviewError> {
    if review.kind == "Tenant" {
        let world = AdmissionWorld {
            installation: Arc::clone(&context.installation),
            tenants: context.index.tenants.all(),
            services: Vec::new(),
            connectors: Vec::new(),
            volume_claim: None,
        };
        return Ok(rules::tenant(
            review.current::<Tenant>()?.as_ref(),
            &review.proposed::<Tenant>()?,
            &world,
        ));
    }
    if !context.serves(&review.namespace) {
        return Ok(Judgement::default());
    }
    let world = world(review, context).await;
    match review.kind.as_str() {
        "FhirService" => {
            let (old, new) = (review.current::<FhirService>()?, review.proposed::<FhirService>()?);
            let claim = Owner::service(&new).child_part("data");
            let volume_claim = context.index.claims.get(&Name::new(&review.namespace, &claim));
            Ok(rules::fhir_service(
                old.as_ref(),
                &new,
                &AdmissionWorld { volume_claim, ..world },
            ))
        }
        "IoTConnector" => Ok(rules::iot_connector(
            review.current::<IoTConnector>()?.as_ref(),
            &review.proposed::<IoTConnector>()?,
            &world,
        )),
        _ => Ok(Judgement::default()),
    }
}

/// All objects of the tenant but the one that is judged: as the API server has them now, or as last seen where it
/// doesn't answer in time.
async fn world(review: &Review, context: &Context) -> AdmissionWorld {
    let holder = context.holder(&review.namespace);
    let live = tokio::time::timeout(PATIENCE, tenant::live(context, &holder)).await;
    let (mut services, mut connectors) = match live {
        Ok(Ok(objects)) => objects,
        Ok(Err(_)) | Err(_) => tenant::cached(context, &holder),
    };
    match review.kind.as_str() {
        "FhirService" => services.retain(|service| Name::of(service.as_ref()) != review.named()),
        _ => connectors.retain(|connector| Name::of(connector.as_ref()) != review.named()),
    }
    AdmissionWorld {
        installation: Arc::clone(&context.installation),
        tenants: context.index.tenants.all(),
        services,
        connectors,
        volume_claim: None,
    }
}
