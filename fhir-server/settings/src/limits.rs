//! Limits of the FHIR API. An absent one has its default; the custom resource shows the same options.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SettingsError;

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $field:ident ($name:literal): $type:ty = $default:expr, $min:literal ..= $max:literal;)+) => {
        /// Limits of the FHIR API; what is absent has its default.
        #[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct Limits {
            $(
                $(#[doc = $doc])+
                #[serde(skip_serializing_if = "Option::is_none")]
                #[schemars(range(min = $min, max = $max))]
                pub $field: Option<$type>,
            )+
            /// Whether transaction bundles are accepted; absent: true.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub transaction_bundles: Option<bool>,
        }

        impl Limits {
            $(
                $(#[doc = $doc])+
                pub fn $field(&self) -> $type {
                    self.$field.unwrap_or($default)
                }
            )+

            /// Whether transaction bundles are accepted.
            pub fn transaction_bundles(&self) -> bool {
                self.transaction_bundles.unwrap_or(true)
            }

            /// Checks the bounds.
            pub fn validate(&self) -> Result<(), SettingsError> {
                $(
                    if let Some(value) = self.$field && !($min..=$max).contains(&value) {
                        return Err(SettingsError::new(
                            concat!("limits.", $name),
                            format!("{value} isn't within {} to {}", $min, $max),
                        ));
                    }
                )+
                Ok(())
            }
        }
    };
}

limits! {
    /// Largest `_count` of a page; absent: 100.
    count("count"): u32 = 100, 1..=1000;
    /// Most entries of a bundle; absent: 5,000.
    bundle_entries("bundleEntries"): u32 = 5_000, 1..=100_000;
    /// Most bytes of a bundle; absent: 64 MiB.
    bundle_bytes("bundleBytes"): u64 = 64 << 20, 1024..=1_073_741_824;
    /// Most bytes of a resource; absent: 10 MiB.
    resource_bytes("resourceBytes"): u64 = 10 << 20, 1024..=1_073_741_824;
    /// Most included resources of a page; absent: 1,000.
    includes("includes"): u32 = 1_000, 1..=10_000;
    /// Longest time of a request in seconds; absent: 100.
    request_seconds("requestSeconds"): u32 = 100, 1..=3600;
    /// Most requests at a time, more are answered with 429; absent: 1,000.
    concurrent_requests("concurrentRequests"): u32 = 1_000, 1..=100_000;
}
