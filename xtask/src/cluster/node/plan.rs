//! What the node's first process has to do, decided outside and read by it from a file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::addresses::NODE;
use super::certificates::Certificates;
use super::configuration::Configuration;
use crate::cluster::Instance;
use crate::cluster::programs::Programs;

/// The whole life of a node.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Host name.
    pub name: String,
    /// Folders of the node that are kept outside: (in the node, where it is kept).
    pub folders: Vec<(PathBuf, PathBuf)>,
    /// What `/etc/resolv.conf` is.
    pub resolver: PathBuf,
    /// Commands that set up the network, in order, once `eth0` is there.
    pub network: Vec<Vec<String>>,
    /// Programs to keep running.
    pub programs: Vec<Program>,
    /// Programs that need the API are started once this file is there.
    pub gate: PathBuf,
    /// Where the programs' output goes, a file each.
    pub logs: PathBuf,
}

/// A program that is started again whenever it ends.
#[derive(Debug, Serialize, Deserialize)]
pub struct Program {
    /// Names it in messages and its log.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether it is of no use before the API answers: it would end, and wait to be started again.
    pub needs_api: bool,
}

impl Plan {
    /// The plan of a node with these programs.
    pub fn new(
        instance: Instance,
        programs: &Programs,
        certificates: &Certificates,
        configuration: &Configuration,
    ) -> Self {
        let state = instance.state();
        let kept = [
            "/var/lib/kubelet",
            "/var/lib/containerd",
            "/var/lib/cni",
            "/var/log/pods",
            "/var/log/containers",
        ];
        let kept = kept.map(|folder| (PathBuf::from(folder), state.join("root").join(&folder[1..])));
        Self {
            name: NODE.to_owned(),
            folders: kept.into(),
            resolver: configuration.file("resolv.conf").into(),
            network: network(instance),
            programs: node_programs(instance, programs, certificates, configuration),
            gate: state.join("api-answers"),
            logs: state.join("logs"),
        }
    }
}

fn network(instance: Instance) -> Vec<Vec<String>> {
    let address = format!("{}/24", instance.node_address());
    let (services, host) = (instance.services(), instance.host_address());
    let commands = [
        "ip link set lo up".to_owned(),
        format!("ip addr add {address} dev eth0"),
        "ip link set eth0 up".to_owned(),
        // nothing in here reaches beyond this machine
        "ip route add unreachable default".to_owned(),
        // never taken: the look-up has to succeed before the rules of Services rewrite the address
        format!("ip route add {services} via {host}"),
    ];
    commands
        .iter()
        .map(|command| command.split(' ').map(str::to_owned).collect())
        .collect()
}

fn node_programs(
    instance: Instance,
    programs: &Programs,
    certificates: &Certificates,
    configuration: &Configuration,
) -> Vec<Program> {
    let state = instance.state();
    let node = programs.node.display().to_string();
    let of_node = |name: &str, needs_api: bool, arguments: Vec<String>| {
        let mut command = vec![node.clone(), name.to_owned()];
        command.extend(arguments);
        Program {
            name: name.to_owned(),
            command,
            needs_api,
        }
    };
    let admin = certificates.kubeconfig("admin").display().to_string();
    let folder = |name: &str| state.join(name).display().to_string();
    let controller = |client: &str| {
        let kubeconfig = certificates.kubeconfig(client).display().to_string();
        flags(&[
            ("kubeconfig", &kubeconfig),
            ("authentication-kubeconfig", &kubeconfig),
            ("authorization-kubeconfig", &kubeconfig),
            ("leader-elect", "false"),
        ])
    };
    let kubelet = flags(&[
        ("config", &configuration.file("kubelet.yaml")),
        ("kubeconfig", &certificates.kubeconfig(NODE).display().to_string()),
        ("hostname-override", NODE),
        ("node-ip", &instance.node_address()),
    ]);
    let volumes = flags(&[("kubeconfig", &admin), ("node", NODE), ("folder", &folder("volumes"))]);
    let containerd = Program {
        name: "containerd".to_owned(),
        command: vec![
            "containerd".to_owned(),
            "--config".to_owned(),
            configuration.file("containerd.toml"),
        ],
        needs_api: false,
    };
    vec![
        containerd,
        of_node("etcd", false, etcd(certificates, &folder("etcd"))),
        of_node("kube-apiserver", false, apiserver(instance, certificates)),
        of_node(
            "kube-controller-manager",
            true,
            [
                controller("controller-manager"),
                controller_manager(instance, certificates),
            ]
            .concat(),
        ),
        of_node("kube-scheduler", true, controller("scheduler")),
        of_node("kubelet", true, kubelet),
        of_node(
            "kube-proxy",
            true,
            flags(&[("config", &configuration.file("proxy.yaml"))]),
        ),
        of_node("policies", true, flags(&[("kubeconfig", &admin)])),
        of_node("volumes", true, volumes),
    ]
}

/// Without fsync: what a node keeps needs to outlive its processes, not the machine.
fn etcd(certificates: &Certificates, data: &str) -> Vec<String> {
    flags(&[
        ("name", "etcd"),
        ("data-dir", data),
        ("unsafe-no-fsync", "true"),
        ("log-level", "warn"),
        ("quota-backend-bytes", "1073741824"),
        ("listen-client-urls", "https://127.0.0.1:2379"),
        ("advertise-client-urls", "https://127.0.0.1:2379"),
        ("listen-peer-urls", "http://127.0.0.1:2380"),
        ("initial-advertise-peer-urls", "http://127.0.0.1:2380"),
        ("initial-cluster", "etcd=http://127.0.0.1:2380"),
        ("client-cert-auth", "true"),
        ("cert-file", &certificates.file("etcd.crt")),
        ("key-file", &certificates.file("etcd.key")),
        ("trusted-ca-file", &certificates.file("etcd-ca.crt")),
    ])
}

fn apiserver(instance: Instance, certificates: &Certificates) -> Vec<String> {
    let file = |name: &str| certificates.file(name);
    flags(&[
        ("advertise-address", &instance.node_address()),
        ("secure-port", "6443"),
        ("allow-privileged", "true"),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("service-cluster-ip-range", &instance.services()),
        ("client-ca-file", &file("ca.crt")),
        ("tls-cert-file", &file("apiserver.crt")),
        ("tls-private-key-file", &file("apiserver.key")),
        ("etcd-servers", "https://127.0.0.1:2379"),
        ("etcd-cafile", &file("etcd-ca.crt")),
        ("etcd-certfile", &file("etcd-client.crt")),
        ("etcd-keyfile", &file("etcd-client.key")),
        ("kubelet-certificate-authority", &file("ca.crt")),
        ("kubelet-client-certificate", &file("apiserver-kubelet.crt")),
        ("kubelet-client-key", &file("apiserver-kubelet.key")),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
        ("service-account-key-file", &file("tokens.pub")),
        ("service-account-signing-key-file", &file("tokens.key")),
        ("requestheader-client-ca-file", &file("front-proxy-ca.crt")),
        ("requestheader-allowed-names", "front-proxy-client"),
        ("requestheader-username-headers", "X-Remote-User"),
        ("requestheader-group-headers", "X-Remote-Group"),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        ("proxy-client-cert-file", &file("front-proxy.crt")),
        ("proxy-client-key-file", &file("front-proxy.key")),
    ])
}

fn controller_manager(instance: Instance, certificates: &Certificates) -> Vec<String> {
    flags(&[
        ("cluster-name", instance.name()),
        ("allocate-node-cidrs", "false"),
        ("service-cluster-ip-range", &instance.services()),
        ("cluster-signing-cert-file", &certificates.file("ca.crt")),
        ("cluster-signing-key-file", &certificates.file("ca.key")),
        ("root-ca-file", &certificates.file("ca.crt")),
        ("service-account-private-key-file", &certificates.file("tokens.key")),
        ("use-service-account-credentials", "true"),
        // at its default of 20 requests a second, its controllers need 6 s to start
        ("kube-api-qps", "500"),
        ("kube-api-burst", "1000"),
    ])
}

fn flags(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}
