//! A store in a temporary folder, fed with JSON.

use std::sync::Arc;
use std::time::Duration;

use fhir_definitions::{Definitions, FhirVersion};
use fhir_resource::edit::Edits;
use fhir_resource::stored::{self, StoredForm};
use fhir_resource::{Document, Limits};
use fhir_search::{Access, Extractor, Handling, InForce, Parameters, Parser, Search, Target};
use fhir_storage::{
    Change, CheckReport, CommitError, Cursor, Database, Effort, Expected, Filling, Kept, Outcome, Prepared, Store,
    StoreOptions, Url, WriteSet,
};
use serde_json::Value;
use tempfile::TempDir;
use test_postgres::PostgresServer;

pub struct Fixture {
    pub store: Arc<Store>,
    pub folder: TempDir,
    pub database: Database,
    /// Of the database in PostgreSQL.
    pub name: String,
    pub definitions: &'static Definitions,
    extractor: Extractor,
}

/// Which database is behind a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

pub async fn open(database: &Database) -> Arc<Store> {
    Store::open(&StoreOptions {
        database: database.clone(),
        version: FhirVersion::R4,
        readers: 2,
        statement: Duration::from_mins(1),
    })
    .await
    .expect("the store opens")
}

impl Fixture {
    pub async fn new(engine: Engine) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut name = String::new();
        let database = match engine {
            Engine::Sqlite => Database::Sqlite(folder.path().join("test.db")),
            Engine::Postgres => {
                let url = PostgresServer::shared().database();
                url.rsplit('/').next().unwrap_or_default().clone_into(&mut name);
                Database::Postgres(Url::new(url))
            }
        };
        let store = open(&database).await;
        Self {
            name,
            ..Self::of(database, store, folder)
        }
    }

    /// On an open PostgreSQL.
    pub fn on(database: Database, store: Arc<Store>) -> Self {
        Self::of(database, store, tempfile::tempdir().expect("a folder"))
    }

    fn of(database: Database, store: Arc<Store>, folder: TempDir) -> Self {
        let definitions = Definitions::of(FhirVersion::R4);
        let extractor = Extractor::new(definitions, vec!["http://own.example/fhir".to_owned()]);
        Self {
            store,
            folder,
            database,
            name: String::new(),
            definitions,
            extractor,
        }
    }

    /// Opens the database again.
    pub async fn reopen(&mut self) {
        self.store = open(&self.database).await;
    }

    /// What a check finds.
    pub async fn check(&self) -> CheckReport {
        let extractor = Extractor::new(self.definitions, vec!["http://own.example/fhir".to_owned()]);
        let definitions = self.definitions;
        let extract = move |of: &str, body: &[u8]| {
            let document = stored::parse(body).ok()?;
            Some(extractor.keys(definitions.resource_type(of)?, document.root()))
        };
        self.store.check(Arc::new(extract)).await.expect("a report")
    }

    /// Makes the rows of all resources again.
    pub async fn refill(&self) {
        for of in self.definitions.resource_types() {
            let page = self.store.scan(of.name(), 0, 1_000).await.expect("a page");
            let each = page.into_iter().map(|scanned| Filling {
                pk: scanned.pk,
                version: scanned.version,
                keys: self
                    .extractor
                    .keys(of, stored::parse(&scanned.stored).expect("JSON").root()),
            });
            let mut left: Vec<_> = each.collect();
            while !left.is_empty() {
                left = self.store.fill(left, &[]).await.expect("filled");
            }
        }
    }

    pub fn prepare(&self, resource: &Value) -> Prepared {
        let document = Document::parse(resource.to_string(), Limits::default()).expect("JSON");
        let (of, id) = (
            resource["resourceType"].as_str().expect("type"),
            resource["id"].as_str().expect("id"),
        );
        let keys = self
            .extractor
            .keys(self.definitions.resource_type(of).expect("a type"), document.root());
        let stored = StoredForm::of(document.root(), id, &Edits::NONE).expect("a resource");
        Prepared::new(of, id, stored.into_bytes(), keys).expect("packed")
    }

    pub fn put(&self, resource: &Value) -> Change {
        Change::Update {
            resource: self.prepare(resource),
            expected: Expected::Any,
            may_create: true,
        }
    }

    pub fn delete(resource_type: &str, id: &str) -> Change {
        Change::Delete {
            resource_type: resource_type.to_owned(),
            id: id.to_owned(),
            expected: Expected::Any,
            hard: false,
            kept: Kept::Always,
        }
    }

    pub async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Outcome>, CommitError> {
        self.store
            .commit(WriteSet {
                changes,
                ..WriteSet::default()
            })
            .await
    }

    pub async fn put_all(&self, resources: &[Value]) {
        for resource in resources {
            self.commit(vec![self.put(resource)]).await.expect("committed");
        }
    }

    pub fn search(&self, target: &str, query: &str) -> Search {
        let parser = Parser {
            definitions: self.definitions,
            in_force: InForce::new(Parameters::base(self.definitions)),
            bases: vec!["http://own.example/fhir".to_owned()],
            default_count: 10,
            max_count: 100,
        };
        let target = match target.split('/').collect::<Vec<_>>().as_slice() {
            [""] => Target::System,
            [of] => Target::Type(self.definitions.resource_type(of).expect("a type")),
            [name, id, of] => Target::Compartment {
                name: (*name).to_owned(),
                id: (*id).to_owned(),
                of: self.definitions.resource_type(of),
            },
            _ => panic!("`{target}` is no target"),
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs: Vec<_> = pairs
            .map(|pair| pair.split_once('=').expect("a pair"))
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .collect();
        parser
            .parse(&target, &pairs, Handling::Strict, &Access::All)
            .expect("a search")
    }

    /// Ids of all pages, in order; also proves that the count agrees, and that the way back shows the same.
    pub async fn found(&self, target: &str, query: &str) -> Vec<String> {
        let search = self.search(target, query);
        let (mut ids, mut after) = (Vec::new(), None);
        let back = loop {
            let (page, next, previous) = self.page(&search, after.as_ref()).await;
            assert_eq!(previous.is_some(), after.is_some(), "{target}?{query}");
            let begin = ids.len();
            ids.extend(page);
            after = next;
            if after.is_none() {
                break previous.map(|previous| (begin, previous));
            }
        };
        let (last, _, _) = self.page(&search, Some(&Cursor::last())).await;
        assert!(
            ids.ends_with(&last) && last.len() == ids.len().min(search.count),
            "{target}?{query}"
        );
        if let Some((mut end, mut previous)) = back {
            while end > 0 {
                let (page, next, before) = self.page(&search, Some(&previous)).await;
                assert!(next.is_some(), "{target}?{query}");
                assert_eq!(ids[end - page.len()..end], page, "{target}?{query}");
                end -= page.len();
                assert_eq!(before.is_some(), end > 0, "{target}?{query}");
                previous = before.unwrap_or(previous);
            }
        }
        assert_eq!(
            self.store.count(&search.plan, Effort::Any).await.expect("a count"),
            ids.len() as u64,
            "{target}?{query}"
        );
        ids
    }

    /// Ids of one page, and the cursors of its neighbours as clients get them.
    async fn page(&self, search: &Search, after: Option<&Cursor>) -> (Vec<String>, Option<Cursor>, Option<Cursor>) {
        let page = self.store.search(&search.plan, search.count, after, Effort::Any);
        let page = page.await.expect("a page");
        assert!(page.entries.len() <= search.count);
        let sent = |cursor: Cursor| cursor.to_string().parse().expect("its own cursor");
        let ids = page.entries.into_iter().map(|entry| entry.id).collect();
        (ids, page.next.map(sent), page.previous.map(sent))
    }
}
