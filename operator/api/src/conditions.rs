//! Condition types and reasons. They are part of the contract: dashboards and scripts compare them.

use std::fmt;

macro_rules! condition_types {
    ($($(#[doc = $doc:literal])+ $name:ident { $($reason:ident),+ $(,)? })+) => {
        /// Type of a condition.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum ConditionType {
            $($(#[doc = $doc])+ $name,)+
        }

        impl ConditionType {
            /// Every type, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The text in `status.conditions[].type`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// What it says, for the reference.
            pub fn documentation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+)),+ }
            }

            /// Reasons that it can have.
            pub fn reasons(self) -> &'static [Reason] {
                match self { $(Self::$name => &[$(Reason::$reason),+]),+ }
            }
        }
    };
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident)+) => {
        /// Reason of a condition.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The text in `status.conditions[].reason`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// What it means, for the reference.
            pub fn documentation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+)),+ }
            }

            /// The reason that a text names.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.name() == name)
            }
        }
    };
}

condition_types! {
    /// The object does what it is for.
    Ready {
        Serving, Ingesting, QuotaExceeded, NoTenant, FhirServiceNotFound, FhirServiceNotAdmitted, FhirServiceNotReady,
        FhirVersionNotSupported, PrivateLinkEnabled, NotSupported, NameTaken, VolumePending, DataExists, ResizeRefused,
        Progressing, Unschedulable, ImagePullFailed, CrashLooping, SecretMissing, Suspended, RoutePending,
        GatewayMissing, IotConnectorInstalled, PolicyNotEnforced, OtherPolicyOpens, NotConnected,
        WritesWaiting, IngestRefused,
    }
    /// The object has a place in its tenant. Once given it is kept until the object is deleted.
    Admitted {
        Admitted, QuotaExceeded, NoTenant, FhirServiceNotFound, FhirServiceNotAdmitted, FhirVersionNotSupported,
        PrivateLinkEnabled, NotSupported, NameTaken,
    }
    /// The FhirService that the connector writes to serves, and takes what the connector writes.
    FhirServiceReady {
        Serving, FhirServiceNotFound, FhirServiceNotAdmitted, FhirServiceNotReady, FhirVersionNotSupported,
        PrivateLinkEnabled, WritesWaiting,
    }
    /// The data of the service has its place.
    DatabaseReady { Bound, VolumePending, DataExists, ResizeRefused }
    /// The pods run.
    WorkloadReady { Running, Progressing, Unschedulable, ImagePullFailed, CrashLooping, SecretMissing, Suspended }
    /// The source of messages, or the volume of the spool, is there, and messages are taken.
    SourceReady { Bound, Connected, VolumePending, DataExists, ResizeRefused, NotConnected, IngestRefused }
    /// The service is reached from where it should be.
    Exposed { ClusterOnly, Routed, RoutePending, GatewayMissing }
    /// Only the allowed namespaces reach the service.
    PrivateLinkReady { InForce, IotConnectorInstalled, PolicyNotEnforced, OtherPolicyOpens }
    /// Both mappings of the connector are valid and in use. Never changes Ready.
    MappingsValid { Valid, MappingMissing, MappingInvalid }
    /// The wanted release runs. Never changes Ready.
    UpToDate { Current, WaitingForWindow, DowngradeNotSupported }
    /// The operator changes nothing of the object, because its annotation says so. Never changes Ready.
    Paused { Paused }
    /// Namespaces of the Tenant are held by an older Tenant.
    NamespaceConflict { NamespaceConflict }
    /// More is in use than the quota now allows; what runs goes on.
    OverQuota { OverQuota }
}

reasons! {
    /// The FHIR API answers.
    Serving
    /// Messages are taken and written.
    Ingesting
    /// The object has a place.
    Admitted
    /// The tenant's quota is in use.
    QuotaExceeded
    /// The namespace belongs to no Tenant, and the operator refuses such namespaces.
    NoTenant
    /// The FhirService doesn't exist or is being deleted.
    FhirServiceNotFound
    /// The FhirService has no place itself.
    FhirServiceNotAdmitted
    /// The FhirService exists and doesn't serve now; messages wait.
    FhirServiceNotReady
    /// The FhirService refuses what the connector writes, or doesn't answer it, and messages wait for minutes.
    WritesWaiting
    /// The connector takes no messages: its queue is full, or so many dead letters are kept that somebody has to look.
    IngestRefused
    /// IoT connectors need FHIR R4.
    FhirVersionNotSupported
    /// The FhirService asks for Private Link, which excludes connectors.
    PrivateLinkEnabled
    /// A field or value that this release doesn't act on.
    NotSupported
    /// An object that the operator needs exists and isn't its own.
    NameTaken
    /// The volume is bound, or is when its pod is placed.
    Bound
    /// The volume isn't bound yet.
    VolumePending
    /// Data of an earlier object of this name exists and isn't adopted.
    DataExists
    /// The volume can't have the wanted size.
    ResizeRefused
    /// The broker or stream is connected.
    Connected
    /// The broker or stream isn't connected; messages that come by HTTP are taken.
    NotConnected
    /// The pod is ready.
    Running
    /// The pod is on its way.
    Progressing
    /// No node takes the pod.
    Unschedulable
    /// The image can't be pulled.
    ImagePullFailed
    /// The container ends again and again.
    CrashLooping
    /// A Secret or ConfigMap that the pod mounts doesn't exist.
    SecretMissing
    /// `spec.suspend` is set.
    Suspended
    /// Reached inside the cluster only.
    ClusterOnly
    /// Reached from outside by its route.
    Routed
    /// The route isn't accepted yet.
    RoutePending
    /// The Gateway doesn't exist.
    GatewayMissing
    /// Private Link is in force.
    InForce
    /// An admitted IoT connector keeps Private Link off.
    IotConnectorInstalled
    /// The cluster's network doesn't enforce NetworkPolicies.
    PolicyNotEnforced
    /// Another NetworkPolicy allows more.
    OtherPolicyOpens
    /// Both mappings are in use.
    Valid
    /// A mapping isn't there yet; messages are kept.
    MappingMissing
    /// A mapping has errors; the last valid pair stays in use.
    MappingInvalid
    /// The wanted release runs.
    Current
    /// A newer release waits for the maintenance window.
    WaitingForWindow
    /// The wanted release is older than the schema of the data.
    DowngradeNotSupported
    /// The annotation `fhir-operator.dev/paused` is `"true"`.
    Paused
    /// An older Tenant holds some of the namespaces.
    NamespaceConflict
    /// More is in use than the quota allows.
    OverQuota
}

impl fmt::Display for ConditionType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The reference of conditions and reasons, as Markdown.
pub fn reference() -> String {
    use fmt::Write as _;

    let mut text = String::from("# Conditions and reasons\n\n| Condition | Says | Reasons |\n|---|---|---|\n");
    for condition in ConditionType::ALL {
        let reasons: Vec<&str> = condition.reasons().iter().map(|reason| reason.name()).collect();
        // Writing to a String doesn't fail.
        let _ = writeln!(
            text,
            "| {condition} | {} | {} |",
            condition.documentation().trim(),
            reasons.join(", ")
        );
    }
    text.push_str("\n| Reason | Means |\n|---|---|\n");
    for reason in Reason::ALL {
        let _ = writeln!(text, "| {reason} | {} |", reason.documentation().trim());
    }
    text
}
