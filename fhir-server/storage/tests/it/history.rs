//! History of an instance, a type, the service; in pages.

use fhir_search::Access;
use fhir_storage::{Effort, HistoryQuery, Kind, Order, Scope};
use rstest::rstest;
use serde_json::json;

use crate::fixture::{Engine, Fixture};

fn query(scope: Scope) -> HistoryQuery {
    HistoryQuery {
        scope,
        access: Access::All,
        since: None,
        before: None,
        order: Order::NewestFirst,
        count: 2,
        after: None,
    }
}

async fn all(fixture: &Fixture, mut query: HistoryQuery) -> Vec<(String, u32, Kind)> {
    let mut found = Vec::new();
    loop {
        let page = fixture.store.history(&query, Effort::Any).await.unwrap();
        found.extend(page.entries.into_iter().map(|v| (v.id, v.version, v.kind)));
        query.after = page.next;
        if query.after.is_none() {
            return found;
        }
    }
}

#[rstest]
#[tokio::test]
async fn newest_first_in_every_scope(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let patient = |family: &str| json!({"resourceType": "Patient", "id": "a", "name": [{"family": family}]});
    let device = json!({"resourceType": "Device", "id": "d"});
    fixture.put_all(&[patient("One"), device, patient("Two")]).await;
    fixture.commit(vec![Fixture::delete("Patient", "a")]).await.unwrap();
    let version = |id: &str, version, kind| (id.to_owned(), version, kind);
    let (one, two) = (version("a", 1, Kind::Created), version("a", 2, Kind::Updated));
    let (gone, device) = (version("a", 3, Kind::Deleted), version("d", 1, Kind::Created));
    let instance = Scope::Instance("Patient".into(), "a".into());
    assert_eq!(
        all(&fixture, query(instance)).await,
        [gone.clone(), two.clone(), one.clone()]
    );
    assert_eq!(
        all(&fixture, query(Scope::Type("Patient".into()))).await,
        [gone.clone(), two.clone(), one.clone()]
    );
    assert_eq!(
        all(&fixture, query(Scope::System)).await,
        [gone.clone(), two.clone(), device.clone(), one.clone()]
    );
    let oldest_first = HistoryQuery {
        order: Order::OldestFirst,
        ..query(Scope::System)
    };
    assert_eq!(
        all(&fixture, oldest_first).await,
        [one.clone(), device.clone(), two.clone(), gone.clone()]
    );
    for (scope, versions) in [
        (Scope::Instance("Patient".into(), "a".into()), 3),
        (Scope::Type("Device".into()), 1),
        (Scope::System, 4),
        (Scope::Instance("Patient".into(), "nobody".into()), 0),
    ] {
        let count = fixture.store.history_count(&query(scope), Effort::Any).await;
        assert_eq!(count.unwrap(), versions);
    }
    let since = fixture
        .store
        .version("Patient", "a", 2)
        .await
        .unwrap()
        .unwrap()
        .last_updated;
    assert_eq!(
        all(
            &fixture,
            HistoryQuery {
                since: Some(since),
                ..query(Scope::System)
            }
        )
        .await,
        [gone, two]
    );
    assert_eq!(
        all(
            &fixture,
            HistoryQuery {
                before: Some(since),
                ..query(Scope::System)
            }
        )
        .await,
        [device.clone(), one]
    );
    let access = Access::types(["Device"]);
    assert_eq!(
        all(
            &fixture,
            HistoryQuery {
                access,
                ..query(Scope::System)
            }
        )
        .await,
        [device]
    );
    assert_eq!(
        all(&fixture, query(Scope::Instance("Patient".into(), "nobody".into()))).await,
        []
    );
}
