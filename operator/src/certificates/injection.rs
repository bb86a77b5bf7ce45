//! The CA in the ValidatingWebhookConfiguration, where the API server looks for it.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::Endpoint;

/// Makes every webhook of the configuration that calls our Service trust `bundle`. A configuration that isn't there is
/// nobody's mistake: admission is a courtesy.
pub async fn ensure(client: &Client, endpoint: &Endpoint, bundle: &str) -> Result<(), kube::Error> {
    let api = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    let Some(configuration) = api.get_opt(&endpoint.configuration).await? else {
        return Ok(());
    };
    if let Some(patch) = patch(&configuration, endpoint, bundle) {
        api.patch(
            &endpoint.configuration,
            &PatchParams::default(),
            &Patch::<Value>::Strategic(patch),
        )
        .await?;
        tracing::info!(
            configuration = endpoint.configuration,
            "CA put into the webhook configuration"
        );
    }
    Ok(())
}

/// What has to change, or nothing.
fn patch(configuration: &ValidatingWebhookConfiguration, endpoint: &Endpoint, bundle: &str) -> Option<Value> {
    let webhooks = configuration.webhooks.iter().flatten().filter(|webhook| {
        let service = webhook.client_config.service.as_ref();
        let ours = service.is_some_and(|s| s.name == endpoint.service && s.namespace == endpoint.namespace);
        ours && webhook
            .client_config
            .ca_bundle
            .as_ref()
            .is_none_or(|found| found.0 != bundle.as_bytes())
    });
    let changes: Vec<Value> = webhooks
        .map(|webhook| {
            let trusted = ByteString(bundle.as_bytes().to_vec());
            json!({"name": webhook.name, "clientConfig": {"caBundle": trusted}})
        })
        .collect();
    (!changes.is_empty()).then(|| json!({"webhooks": changes}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint {
            namespace: "fhir-system".into(),
            service: "operator-webhook".into(),
            secret: "ca".into(),
            configuration: "rules".into(),
        }
    }

    fn configuration(bundle: Option<&str>) -> ValidatingWebhookConfiguration {
        let value = json!({"webhooks": [{
            "name": "rules.fhir-operator.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {
                "caBundle": bundle.map(|text| ByteString(text.as_bytes().to_vec())),
                "service": {"name": "operator-webhook", "namespace": "fhir-system"}
            }
        }, {
            "name": "another.example.org", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": {"name": "another", "namespace": "fhir-system"}}
        }]});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_our_webhook_is_told_and_only_when_it_differs() {
        let change = patch(&configuration(None), &endpoint(), "PEM").unwrap();
        assert_eq!(change["webhooks"].as_array().unwrap().len(), 1);
        assert_eq!(change["webhooks"][0]["clientConfig"]["caBundle"], "UEVN");
        assert!(patch(&configuration(Some("OLD")), &endpoint(), "PEM").is_some());
        assert_eq!(patch(&configuration(Some("PEM")), &endpoint(), "PEM"), None);
    }
}
