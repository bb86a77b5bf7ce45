//! The configuration files of a node's programs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::addresses::NODE;
use super::certificates::Certificates;
use crate::cluster::Instance;

/// Where Debian puts the CNI plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";

/// Where the files are.
#[derive(Debug)]
pub struct Configuration {
    folder: PathBuf,
}

impl Configuration {
    /// A file of the folder, as text for a command line.
    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

/// Writes them all.
pub fn write(instance: Instance, certificates: &Certificates, sandbox_image: &str) -> Result<Configuration> {
    let folder = instance.state().join("configuration");
    let network = folder.join("network");
    fs::create_dir_all(&network).with_context(|| format!("can't make `{}`", network.display()))?;
    fs::write(
        folder.join("resolv.conf"),
        format!("nameserver {}\n", instance.dns_service()),
    )?;
    fs::write(folder.join("containerd.toml"), containerd(&network, sandbox_image))?;
    fs::write(network.join("10-pods.conflist"), pod_network(instance).to_string())?;
    let configuration = Configuration { folder };
    // JSON is YAML
    fs::write(
        configuration.file("kubelet.yaml"),
        kubelet(instance, certificates, &configuration).to_string(),
    )?;
    fs::write(
        configuration.file("proxy.yaml"),
        proxy(instance, certificates).to_string(),
    )?;
    Ok(configuration)
}

fn containerd(network: &Path, sandbox_image: &str) -> String {
    // no score is lowered for the out-of-memory killer, since CAP_SYS_RESOURCE may be withheld
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox_image}"
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{}"
"#,
        network.display()
    )
}

/// Pods are routed, not bridged: the forward hook of the node sees all of their traffic, and so does the agent that
/// enforces NetworkPolicies.
fn pod_network(instance: Instance) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "mtu": 1500,
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni-ipam",
                    "ranges": [[{"subnet": instance.pods()}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

fn kubelet(instance: Instance, certificates: &Certificates, configuration: &Configuration) -> Value {
    // a developer's machine may be nearly full, and must not lose its pods for that
    let eviction = json!({
        "memory.available": "100Mi",
        "nodefs.available": "0%",
        "nodefs.inodesFree": "0%",
        "imagefs.available": "0%",
        "imagefs.inodesFree": "0%",
    });
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": false,
        "failSwapOn": false,
        "nodeStatusUpdateFrequency": "1s",
        // how soon a pod sees a changed ConfigMap
        "syncFrequency": "10s",
        "nodeStatusReportFrequency": "1m",
        "maxPods": 200,
        "oomScoreAdj": 0,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", instance.cgroup()),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": certificates.file("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": certificates.file(&format!("{NODE}.crt")),
        "tlsPrivateKeyFile": certificates.file(&format!("{NODE}.key")),
        "clusterDomain": "cluster.local",
        "clusterDNS": [instance.dns_service()],
        "resolvConf": configuration.file("resolv.conf"),
        "serializeImagePulls": false,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": eviction,
    })
}

fn proxy(instance: Instance, certificates: &Certificates) -> Value {
    // the limits of connection tracking are the host's, and stay as they are
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "nftables": {"minSyncPeriod": "100ms"},
        "oomScoreAdj": 0,
        "clusterCIDR": instance.pods(),
        "hostnameOverride": NODE,
        "clientConnection": {"kubeconfig": certificates.kubeconfig("proxy")},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    })
}
