//! The custom resources as an API server sees them: CEL rules, bounds, columns, and the files in `crds/`.

extern crate kube_types as kube;

mod cel;
mod files;
