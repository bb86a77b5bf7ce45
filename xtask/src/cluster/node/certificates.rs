//! The certificates, keys and kubeconfigs of a local cluster, made once and kept with its state.
//!
//! One authority signs the API server, the kubelet and their clients; etcd and the front proxy have one each, since
//! whoever holds a certificate of those is trusted without a name.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, RsaKeySize,
};
use serde_json::json;

use super::addresses::NODE;
use crate::cluster::Instance;

/// Who has a kubeconfig, and the name and group that their certificate says.
const CLIENTS: &[(&str, &str, Option<&str>)] = &[
    ("admin", "admin", Some("system:masters")),
    ("controller-manager", "system:kube-controller-manager", None),
    ("scheduler", "system:kube-scheduler", None),
    ("proxy", "system:kube-proxy", None),
];

/// The folder with all of them.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// A file of the folder, as text for a command line.
    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The kubeconfig of a client.
    pub fn kubeconfig(&self, client: &str) -> PathBuf {
        self.folder.join(format!("{client}.kubeconfig"))
    }
}

/// Finds or makes them.
pub fn certificates(instance: Instance) -> Result<Certificates> {
    let folder = instance.state().join("certificates");
    if !folder.exists() {
        // complete or not there at all
        let unfinished = instance.state().join("certificates.unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)?;
        make(instance, &unfinished, &folder)?;
        fs::rename(&unfinished, &folder)?;
    }
    Ok(Certificates { folder })
}

fn make(instance: Instance, folder: &Path, later: &Path) -> Result<()> {
    let authority = Authority::make(folder, "ca")?;
    let etcd = Authority::make(folder, "etcd-ca")?;
    let front_proxy = Authority::make(folder, "front-proxy-ca")?;
    let (server, client) = (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth);

    etcd.sign(
        folder,
        "etcd",
        ("etcd", None),
        &[server.clone(), client.clone()],
        &["localhost", "127.0.0.1"],
    )?;
    etcd.sign(
        folder,
        "etcd-client",
        ("kube-apiserver", None),
        std::slice::from_ref(&client),
        &[],
    )?;
    front_proxy.sign(
        folder,
        "front-proxy",
        ("front-proxy-client", None),
        std::slice::from_ref(&client),
        &[],
    )?;

    let (node_address, api_service) = (instance.node_address(), instance.api_service());
    let names = [
        "localhost",
        "127.0.0.1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let names = [&names[..], &[node_address.as_str(), api_service.as_str()]].concat();
    authority.sign(
        folder,
        "apiserver",
        ("kube-apiserver", None),
        std::slice::from_ref(&server),
        &names,
    )?;
    let as_kubelets_client = ("kube-apiserver-kubelet-client", Some("system:masters"));
    authority.sign(
        folder,
        "apiserver-kubelet",
        as_kubelets_client,
        std::slice::from_ref(&client),
        &[],
    )?;

    let node = format!("system:node:{NODE}");
    authority.sign(
        folder,
        NODE,
        (&node, Some("system:nodes")),
        &[server, client.clone()],
        &[NODE, &node_address],
    )?;
    kubeconfig(instance, folder, later, NODE)?;
    for (name, common_name, group) in CLIENTS {
        authority.sign(folder, name, (common_name, *group), std::slice::from_ref(&client), &[])?;
        kubeconfig(instance, folder, later, name)?;
    }

    // tokens of ServiceAccounts are signed with RSA, as nearly everywhere
    let tokens = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    write(folder, "tokens.key", &tokens.serialize_pem())?;
    write(folder, "tokens.pub", &tokens.public_key_pem())
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn make(folder: &Path, name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        write(folder, &format!("{name}.crt"), &params.self_signed(&key)?.pem())?;
        write(folder, &format!("{name}.key"), &key.serialize_pem())?;
        Ok(Self {
            issuer: Issuer::new(params, key),
        })
    }

    /// Writes `file.crt` and `file.key` for a common name and, perhaps, an organisation, which Kubernetes reads as user
    /// and group; `names` are the host names and addresses that a server is reached by.
    fn sign(
        &self,
        folder: &Path,
        file: &str,
        subject: (&str, Option<&str>),
        usages: &[ExtendedKeyUsagePurpose],
        names: &[&str],
    ) -> Result<()> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names)?;
        let (common_name, organisation) = subject;
        params.distinguished_name.push(DnType::CommonName, common_name);
        if let Some(organisation) = organisation {
            params.distinguished_name.push(DnType::OrganizationName, organisation);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        write(
            folder,
            &format!("{file}.crt"),
            &params.signed_by(&key, &self.issuer)?.pem(),
        )?;
        write(folder, &format!("{file}.key"), &key.serialize_pem())
    }
}

/// Files are named by where they will be, not by where they are being made.
fn kubeconfig(instance: Instance, folder: &Path, later: &Path, client: &str) -> Result<()> {
    let cluster = instance.name();
    let file = |name: &str| later.join(name).display().to_string();
    let server = format!("https://{}:6443", instance.node_address());
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [{"name": cluster, "cluster": {"server": server, "certificate-authority": file("ca.crt")}}],
        "users": [{"name": client, "user": {"client-certificate": file(&format!("{client}.crt")), "client-key": file(&format!("{client}.key"))}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": client}}],
    });
    write(folder, &format!("{client}.kubeconfig"), &config.to_string())
}

/// For our eyes only.
fn write(folder: &Path, name: &str, content: &str) -> Result<()> {
    let path = folder.join(name);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(content.as_bytes()))
        .with_context(|| format!("can't write `{}`", path.display()))
}
