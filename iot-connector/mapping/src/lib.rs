//! Device and FHIR mappings as iomt-fhir defines them: templates, normalisation, grouping, Observations. Pure.
//!
//! A message goes through [`DeviceMapping::normalise`]; the measurements of a batch through [`FhirMapping::group`]; each
//! group becomes an Observation by [`FhirMapping::create`] or [`FhirMapping::merge`].

mod bucket;
mod device;
mod dry_run;
mod fhir;
mod grouping;
pub mod jmespath;
pub mod json;
pub mod jsonpath;
mod measurement;
mod observation;
mod template;
mod time;

pub use bucket::{BUCKETS, bucket, hash};
pub use device::{DeviceMapping, DeviceTemplate, Expression, Loaded, ValueTemplate};
pub use dry_run::{DryRun, Finding, MessageReport, Side, dry_run, try_message};
pub use fhir::{
    Aggregation, Code, ComponentMapping, Concept, FhirMapping, FhirTemplate, Period, ValueKind, ValueMapping,
};
pub use grouping::{Counts, Group, GroupFault, Grouped, Input, Reading};
pub use measurement::{Fault, Measurement, Message, Normalised, Order};
pub use observation::{
    Merged, ObservationError, SYSTEM, SampledDataError, Subject, build_sampled_data, decimal, parse_sampled_data,
};
pub use template::{Compatibility, Problem, TemplateError};
pub use time::parse as parse_time;
