//! What every request needs: definitions, storage, search, access, limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fhir_definitions::{Definitions, FhirVersion};
use fhir_resource::validation::Library;
use fhir_search::{Extractor, InForce, Parser};
use fhir_server_settings::{History, Limits, Smart};
use fhir_storage::{Effort, Store};
use http::{HeaderMap, header};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::access::AccessControl;
use crate::audit::Audit;
use crate::conformance::{Conformance, Supported};
use crate::http::cors::Policy;
use crate::http::place::Places;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::terminology::Reader;

/// Matches a page where a search doesn't say (Microsoft's default).
const DEFAULT_COUNT: usize = 10;
/// All bodies of requests at a time, in KiB: 256 MiB. Each is parsed into something of a like size.
const BODIES_KIB: usize = 256 << 10;

/// One FHIR service.
pub struct Server {
    /// The version that is served.
    pub version: FhirVersion,
    /// Its tables.
    pub definitions: &'static Definitions,
    /// Where resources are.
    pub store: Arc<Store>,
    /// The search parameters in force.
    pub parameters: InForce,
    /// The profiles that the CapabilityStatement names.
    pub supported: Supported,
    /// Those of the service's own, as the database has them.
    pub conformance: Conformance,
    /// How superseded versions are kept.
    pub history: History,
    /// Background work.
    pub jobs: Jobs,
    /// Resource → index keys.
    pub extractor: Extractor,
    /// Query → plan.
    pub parser: Parser,
    /// Who may do what.
    pub access: AccessControl,
    /// Value sets and code systems.
    pub terminology: Reader,
    /// The rules of built-in types, for `$validate`.
    pub rules: Arc<Library>,
    /// Limits of the API.
    pub limits: Limits,
    /// Counters.
    pub metrics: Metrics,
    /// Seals where pages begin.
    pub places: Places,
    /// Who did what, if that is written down.
    pub audit: Option<Arc<Audit>>,
    /// What SMART apps are told.
    pub smart: Smart,
    /// What other origins may do, if any may do something.
    pub cors: Option<Policy>,
    /// Kibibytes of bodies that may be in memory beside others.
    pub bodies: Arc<Semaphore>,
    base_url: Option<Arc<str>>,
    scheme: &'static str,
    requests: Semaphore,
}

/// How a [`Server`] is reached.
pub struct Address {
    /// The URL that clients see, if it is configured.
    pub base_url: Option<String>,
    /// Where it listens, for references that clients write with it.
    pub listen: String,
    /// Whether it speaks TLS itself.
    pub tls: bool,
}

impl Server {
    /// Puts a service together.
    pub fn new(
        store: Arc<Store>,
        conformance: Conformance,
        history: History,
        access: AccessControl,
        limits: Limits,
        metrics: Metrics,
        address: Address,
    ) -> Self {
        let version = conformance.version();
        let definitions = Definitions::of(version);
        let base_url = address.base_url.map(|url| Arc::from(url.trim_end_matches('/')));
        let scheme = if address.tls { "https" } else { "http" };
        let base = base_url
            .as_deref()
            .map_or_else(|| format!("{scheme}://{}", address.listen), str::to_owned);
        let bases = vec![base];
        let largest_body = limits.bundle_bytes().max(limits.resource_bytes()).div_ceil(1024);
        let largest_body = usize::try_from(largest_body).unwrap_or(BODIES_KIB);
        let parameters = conformance.in_force();
        let places = Places::new(Arc::clone(&store));
        Server {
            version,
            definitions,
            store,
            extractor: Extractor::following(parameters.clone(), bases.clone()),
            parser: Parser {
                definitions,
                in_force: parameters.clone(),
                bases,
                default_count: DEFAULT_COUNT,
                max_count: usize::try_from(limits.count()).unwrap_or(DEFAULT_COUNT),
            },
            parameters,
            supported: Supported::default(),
            conformance,
            history,
            jobs: Jobs::default(),
            access,
            terminology: Reader::new(definitions),
            rules: Arc::new(Library::default()),
            requests: Semaphore::new(usize::try_from(limits.concurrent_requests()).unwrap_or(Semaphore::MAX_PERMITS)),
            limits,
            metrics,
            places,
            audit: None,
            smart: Smart::default(),
            cors: None,
            bodies: Arc::new(Semaphore::new(BODIES_KIB.max(largest_body))),
            base_url,
            scheme,
        }
    }

    /// With a place for audit lines.
    #[must_use]
    pub fn with_audit(self, audit: Option<Arc<Audit>>) -> Self {
        Self { audit, ..self }
    }

    /// With what SMART apps are told.
    #[must_use]
    pub fn with_smart(self, smart: Smart) -> Self {
        Self { smart, ..self }
    }

    /// With what other origins may do.
    #[must_use]
    pub fn with_cors(self, cors: Option<Policy>) -> Self {
        Self { cors, ..self }
    }

    /// The base URL that a client sees, without a final slash.
    pub fn base(&self, headers: &HeaderMap) -> Arc<str> {
        if let Some(base) = &self.base_url {
            return Arc::clone(base);
        }
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or("localhost");
        Arc::from(format!("{}://{host}", self.scheme))
    }

    /// What a request may ask of the database: it has ended by then, whatever the database would find.
    pub fn effort(&self) -> Effort {
        Effort::Until(Instant::now() + Duration::from_secs(u64::from(self.limits.request_seconds())))
    }

    /// A place among the requests that are served at a time.
    pub fn admit(&self) -> Option<SemaphorePermit<'_>> {
        self.requests.try_acquire().ok()
    }
}
