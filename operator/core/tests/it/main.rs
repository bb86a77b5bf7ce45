//! The operator's core as a whole: YAML in, decisions, whole objects and statuses out.

extern crate kube_types as kube;

mod admission;
mod connectors;
mod fixture;
mod places;
mod releases;
mod services;
