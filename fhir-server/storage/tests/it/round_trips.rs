//! How often a write goes to PostgreSQL and back: counted by what a connection sends, never by time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fhir_storage::{Change, Database, Expected, Guard, Kept, Outcome, Url, WriteSet};
use rstest::rstest;
use serde_json::{Value, json};
use test_postgres::PostgresServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{Fixture, open};

/// Statements that were sent through a proxy.
#[derive(Debug, Default)]
struct Counter {
    statements: AtomicUsize,
    round_trips: AtomicUsize,
}

impl Counter {
    /// Statements and round trips since the last look.
    fn take(&self) -> (usize, usize) {
        (
            self.statements.swap(0, Ordering::Relaxed),
            self.round_trips.swap(0, Ordering::Relaxed),
        )
    }

    /// Passes on what a client sends: `Q` is a statement and a round trip, `E` a statement of which `S` waits for the answer.
    async fn pass(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
        // the first message has no type
        let mut kind = None;
        loop {
            let length = from.read_u32().await?;
            let mut body = vec![0; length as usize - 4];
            from.read_exact(&mut body).await?;
            match kind {
                Some(b'Q') => {
                    self.statements.fetch_add(1, Ordering::Relaxed);
                    self.round_trips.fetch_add(1, Ordering::Relaxed);
                }
                Some(b'E') => {
                    self.statements.fetch_add(1, Ordering::Relaxed);
                }
                Some(b'S') => {
                    self.round_trips.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            }
            if let Some(kind) = kind {
                to.write_u8(kind).await?;
            }
            to.write_u32(length).await?;
            to.write_all(&body).await?;
            kind = Some(from.read_u8().await?);
        }
    }
}

/// A store whose statements are counted.
async fn counted() -> (Fixture, Arc<Counter>) {
    let url = PostgresServer::shared().database();
    let (before, rest) = url.split_once('@').unwrap();
    let (address, name) = rest.split_once('/').unwrap();
    let address = address.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    let counter = Arc::new(Counter::default());
    let counts = Arc::clone(&counter);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (from_client, mut to_client) = client.into_split();
            let server = TcpStream::connect(&address).await.unwrap();
            let (mut from_server, to_server) = server.into_split();
            let counts = Arc::clone(&counts);
            tokio::spawn(async move {
                // a connection that ends is no news
                let _ = counts.pass(from_client, to_server).await;
            });
            tokio::spawn(async move {
                let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
            });
        }
    });
    let database = Database::Postgres(Url::new(format!("{before}@{own}/{name}?sslmode=disable")));
    let store = open(&database).await;
    (Fixture::on(database, store), counter)
}

fn patient(id: &str, family: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "gender": "female", "name": [{"family": family}]})
}

fn create(fixture: &Fixture, id: &str) -> Change {
    Change::Create {
        resource: fixture.prepare(&patient(id, "Ash")),
    }
}

/// A statement is prepared when a connection sees it first, so everything is done once before it is counted.
#[tokio::test(flavor = "multi_thread")]
async fn writes_are_few_statements() {
    let (fixture, counter) = counted().await;
    let put = |id: &str, family: &str| fixture.put(&patient(id, family));
    let update = |id: &str, family: &str| vec![put(id, family)];
    fixture.commit(vec![create(&fixture, "warm")]).await.unwrap();
    fixture.commit(update("warm", "Birch")).await.unwrap();
    counter.take();
    fixture
        .commit(vec![create(&fixture, "a"), create(&fixture, "b")])
        .await
        .unwrap();
    assert_eq!(counter.take(), (1, 1), "creates are one statement");
    fixture.commit(update("a", "Cedar")).await.unwrap();
    assert_eq!(counter.take(), (2, 2), "an update reads and writes");
    let several = vec![put("a", "Dogwood"), put("b", "Dogwood"), put("new", "Elm")];
    fixture.commit(several).await.unwrap();
    assert_eq!(counter.take(), (2, 2), "several updates read and write together");
    let twice = vec![put("a", "Fir"), put("a", "Gum"), Fixture::delete("Patient", "a")];
    let outcomes = fixture.commit(twice).await.unwrap();
    assert!(
        matches!(outcomes[..], [Outcome::Updated(_), Outcome::Updated(_), Outcome::Deleted(last)] if last.version == 6)
    );
    assert_eq!(counter.take(), (2, 2), "changes of one resource are written together");
    fixture.commit(update("b", "Dogwood")).await.unwrap();
    assert_eq!(counter.take(), (1, 1), "what is the same is only read");
    let refused = Change::Update {
        resource: fixture.prepare(&patient("b", "Hazel")),
        expected: Expected::Version(1),
        may_create: false,
    };
    fixture.commit(vec![refused]).await.unwrap_err();
    assert_eq!(counter.take(), (1, 1), "what is refused is only read");
    let purge = Change::Delete {
        resource_type: "Patient".to_owned(),
        id: "a".to_owned(),
        expected: Expected::Any,
        hard: true,
        kept: Kept::Always,
    };
    fixture.commit(vec![purge]).await.unwrap();
    assert_eq!(fixture.check().await.problems, [""; 0]);
}

/// If-none-exist asks between reading and writing; of a code alone first in which systems it is.
#[rstest]
#[case::with_system("|", 2)]
#[case::of_a_code_alone("", 3)]
#[tokio::test(flavor = "multi_thread")]
async fn conditional_creates_ask_once_more(#[case] system: &str, #[case] asked: usize) {
    let (fixture, counter) = counted().await;
    let commit = async |id: &str| {
        let guard = Guard {
            plan: fixture.search("Patient", &format!("_tag={system}{id}")).plan,
        };
        let mut resource = patient(id, "Ash");
        resource["meta"] = json!({"tag": [{"code": id}]});
        let set = WriteSet {
            guard: Some(guard),
            changes: vec![Change::Create {
                resource: fixture.prepare(&resource),
            }],
            ..WriteSet::default()
        };
        fixture.store.commit(set).await
    };
    commit("one").await.unwrap();
    commit("two").await.unwrap();
    commit("two").await.unwrap_err();
    counter.take();
    commit("two").await.unwrap_err();
    assert_eq!(counter.take(), (asked, asked), "what is there is read and found");
    commit("three").await.unwrap();
    let (statements, round_trips) = counter.take();
    assert_eq!((statements, round_trips), (4, 4), "new texts get their numbers first");
}
