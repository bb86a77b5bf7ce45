//! The FHIR API of a service in the cluster, with a token of a ServiceAccount.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cluster::{Namespace, eventually};
use crate::forward::Forward;

/// A client of one FhirService.
#[derive(Debug)]
pub struct Fhir {
    forward: Forward,
    token: Option<String>,
    http: reqwest::Client,
}

impl Fhir {
    /// With the token that `kubectl create token ACCOUNT --audience NAMESPACE/SERVICE` gives; `None`: without.
    pub async fn open(namespace: &Namespace, service: &str, account: Option<&str>) -> Result<Self> {
        let token = match account {
            None => None,
            Some(account) => {
                let audience = format!("--audience={}/{service}", namespace.name);
                Some(
                    namespace
                        .kubectl(&["create", "token", account, &audience])
                        .await?
                        .trim()
                        .to_owned(),
                )
            }
        };
        let forward = Forward::open(namespace, service, "80").await?;
        // `Err` only says that there is one already
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Ok(Self {
            forward,
            token,
            http: reqwest::Client::new(),
        })
    }

    /// One request; gives status and body.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let url = format!("{}/{path}", self.forward.url);
        let mut request = self
            .http
            .request(method.parse()?, &url)
            .header("content-type", "application/fhir+json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Waits until a search finds at least `count` resources; gives the Bundle.
    pub async fn until_found(&self, search: &str, count: u64) -> Result<Value> {
        eventually(&format!("{count} of {search}"), || async {
            let (status, bundle) = self.send("GET", search, None).await?;
            let found = bundle["entry"].as_array().map_or(0, Vec::len) as u64;
            anyhow::ensure!(
                status == 200 && found >= count,
                "status {status}, {found} found: {bundle}"
            );
            Ok(bundle)
        })
        .await
    }
}
