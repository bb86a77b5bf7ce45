//! A real server on a port of its own, spoken to over HTTP, in both FHIR versions.

mod access;
mod audit;
mod away;
mod begun;
mod bundles;
mod capabilities;
mod compression;
mod cors;
mod crash;
mod everything;
mod formats;
mod includes;
mod invisible;
mod killed_reindex;
mod life;
mod limits;
mod meta;
mod overload;
mod pages;
mod patch;
mod prefer;
mod process;
mod program;
mod provenance;
mod races;
mod replicas;
mod search_parameter_status;
mod search_parameters;
mod service;
mod smart;
mod terminology;
mod tokens;
mod validate;
mod versions;

use service::Service;
