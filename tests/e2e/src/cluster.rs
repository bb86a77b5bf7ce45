//! `kubectl` against the cluster of this run.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long a condition may take; generous, since it only bounds a failure.
const PATIENCE: Duration = Duration::from_mins(2);

/// The cluster that `KUBECONFIG` names.
#[derive(Debug, Clone, Copy)]
pub struct Cluster;

impl Cluster {
    /// Fails loudly where there is none: a scenario is never left out silently.
    pub fn connect() -> Result<Self> {
        if std::env::var_os("KUBECONFIG").is_none() {
            bail!(
                "no cluster: run `cargo xtask test --only-cluster`, or set KUBECONFIG to one with the operator installed"
            );
        }
        Ok(Self)
    }

    /// A new namespace with Pod Security `restricted` enforced.
    pub async fn namespace(self, purpose: &str) -> Result<Namespace> {
        let name = format!("{purpose}-{}", &uuid::Uuid::new_v4().simple().to_string()[..6]);
        self.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}}}"
        ))
        .await?;
        Ok(Namespace { name, cluster: self })
    }

    /// Runs `kubectl` and gives its standard output; an error holds its standard error.
    pub async fn kubectl(self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, None).await
    }

    /// `kubectl apply -f -`.
    pub async fn apply(self, manifest: &str) -> Result<String> {
        self.run(&["apply", "-f", "-"], Some(manifest)).await
    }

    /// Applies and gives the refusal; fails if it was accepted.
    pub async fn refused(self, manifest: &str) -> Result<String> {
        match self.apply(manifest).await {
            Ok(output) => bail!("accepted, but should be refused: {output}"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// One object as JSON, `None` where there is none. `what` is `["-n", "ns", "fhir/name"]`.
    pub async fn get(self, what: &[&str]) -> Result<Option<Value>> {
        let arguments = [&["get", "-o", "json", "--ignore-not-found"], what].concat();
        let text = self.kubectl(&arguments).await?;
        if text.trim().is_empty() {
            Ok(None)
        } else {
            Ok(Some(serde_json::from_str(&text)?))
        }
    }

    async fn run(self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let mut child = Command::new("kubectl")
            .args(arguments)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting kubectl")?;
        if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(text.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!(
                "`kubectl {}`: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// A scenario's own namespace.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    cluster: Cluster,
}

impl Namespace {
    /// `kubectl -n NAMESPACE …`.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.cluster.kubectl(&[&["-n", &self.name], arguments].concat()).await
    }

    /// Applies a manifest into this namespace.
    pub async fn apply(&self, manifest: &str) -> Result<String> {
        self.cluster
            .run(&["-n", &self.name, "apply", "-f", "-"], Some(manifest))
            .await
    }

    /// Creates (never updates) from a manifest.
    pub async fn create(&self, manifest: &str) -> Result<String> {
        self.cluster
            .run(&["-n", &self.name, "create", "-f", "-"], Some(manifest))
            .await
    }

    /// Applies and gives the refusal; fails if it was accepted.
    pub async fn refused(&self, manifest: &str) -> Result<String> {
        match self.apply(manifest).await {
            Ok(output) => bail!("accepted, but should be refused: {output}"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// Asks for the eviction of a pod, as a drain does.
    pub async fn evict(&self, pod: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", self.name);
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}});
        let arguments = ["create", "--raw", &path, "-f", "-"];
        self.cluster
            .run(&arguments, Some(&eviction.to_string()))
            .await
            .map(drop)
    }

    /// One object of this namespace, `fhir/clinic`.
    pub async fn get(&self, object: &str) -> Result<Option<Value>> {
        self.cluster.get(&["-n", &self.name, object]).await
    }

    /// A list of this namespace's objects of a kind.
    pub async fn list(&self, kind: &str) -> Result<Vec<Value>> {
        let list = self.cluster.get(&["-n", &self.name, kind]).await?;
        Ok(list
            .and_then(|list| list["items"].as_array().cloned())
            .unwrap_or_default())
    }

    /// Waits until a condition of the object has this status and reason; gives the object.
    pub async fn until(&self, object: &str, condition: &str, status: &str, reason: &str) -> Result<Value> {
        let what = format!("{object} in {}: {condition}={status} {reason}", self.name);
        eventually(&what, || async {
            let Some(found) = self.get(object).await? else {
                bail!("{object} isn't there")
            };
            let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let Some(got) = conditions.iter().find(|c| c["type"] == condition) else {
                bail!("no condition {condition} among {}", Value::Array(conditions));
            };
            if got["status"] != status || got["reason"] != reason {
                bail!("{got}");
            }
            Ok(found)
        })
        .await
    }

    /// Waits until the object is gone.
    pub async fn until_gone(&self, object: &str) -> Result<()> {
        eventually(&format!("{object} gone"), || async {
            match self.get(object).await? {
                Some(_) => bail!("{object} is still there"),
                None => Ok(()),
            }
        })
        .await
    }

    /// Deletes the namespace without waiting for its end.
    pub async fn delete(self) -> Result<()> {
        self.cluster
            .kubectl(&["delete", "namespace", &self.name, "--wait=false"])
            .await
            .map(|_| ())
    }
}

/// Tries until it succeeds; the last failure is the error.
pub async fn eventually<T, F: Future<Output = Result<T>>>(what: &str, attempt: impl Fn() -> F) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > end => return Err(error.context(format!("never came: {what}"))),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
