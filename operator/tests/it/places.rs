//! Places: exactly the quota under any order of events, nobody displaced, and every place written with the version that
//! it was decided on.

use serde_json::{Value, json};

use crate::api::Api;
use crate::objects::{connector, connector_path, says, service, service_path, tenant, tenant_path};
use crate::operator::Operator;

fn admitted(api: &Api) -> Vec<String> {
    let connectors = api.paths("/apis/fhir-operator.dev/v1alpha1/namespaces/");
    connectors
        .into_iter()
        .filter(|path| path.contains("/iotconnectors/"))
        .filter(|path| {
            api.get(path)
                .is_some_and(|object| says(&object, "Admitted", "True", "Admitted"))
        })
        .collect()
}

fn decided(api: &Api) -> usize {
    let all = api.paths("/apis/fhir-operator.dev/v1alpha1/namespaces/");
    let has_place = |object: &Value| crate::objects::condition(object, "Admitted").is_some();
    all.iter()
        .filter(|path| path.contains("/iotconnectors/") && api.get(path).is_some_and(|o| has_place(&o)))
        .count()
}

async fn admit_service(api: &Api, namespace: &str) {
    let path = service_path(namespace, "clinic");
    api.put(&path, service("clinic"));
    api.until("the service's place", |api| {
        says(&api.get(&path)?, "Admitted", "True", "Admitted").then_some(())
    })
    .await;
}

#[tokio::test]
async fn twenty_at_once_fill_exactly_the_quota() {
    let api = Api::new();
    api.put(&tenant_path("hospital"), tenant("hospital", &["ward", "annex"], 5));
    let _operator = Operator::start(&api).await;
    admit_service(&api, "ward").await;
    admit_service(&api, "annex").await;
    for number in 0..20 {
        let namespace = if number % 2 == 0 { "ward" } else { "annex" };
        let name = format!("conn-{number}");
        api.put(&connector_path(namespace, &name), connector(&name, "clinic"));
        tokio::task::yield_now().await;
    }
    let settled = |api: &Api| {
        let usage = api.get(&tenant_path("hospital"))?["status"]["usage"]["iotConnectors"] == "5/5";
        (decided(api) == 20 && usage).then_some(())
    };
    api.until("a verdict for each", settled).await;
    let first = admitted(&api);
    assert_eq!(first.len(), 5);

    // Lowering the quota displaces nobody; a place that becomes free beyond it isn't given again.
    api.edit(&tenant_path("hospital"), |tenant| {
        tenant["spec"]["quota"]["iotConnectors"] = json!(2);
    });
    let over = |api: &Api| says(&api.get(&tenant_path("hospital"))?, "OverQuota", "True", "OverQuota").then_some(());
    api.until("the condition", over).await;
    assert_eq!(admitted(&api), first);
    api.delete(&first[0]);
    let told =
        |api: &Api| (api.get(&tenant_path("hospital"))?["status"]["usage"]["iotConnectors"] == "4/2").then_some(());
    api.until("the new count", told).await;
    assert_eq!(admitted(&api), first[1..]);
}

#[tokio::test]
async fn a_connector_that_came_first_is_admitted_when_its_service_comes() {
    let api = Api::new();
    let _operator = Operator::start(&api).await;
    let path = connector_path("ward", "vitals");
    api.put(&path, connector("vitals", "clinic"));
    api.until("the refusal", |api| {
        says(&api.get(&path)?, "Admitted", "False", "FhirServiceNotFound").then_some(())
    })
    .await;
    admit_service(&api, "ward").await;
    api.until("the place", |api| {
        says(&api.get(&path)?, "Admitted", "True", "Admitted").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_new_leader_displaces_nobody() {
    let api = Api::new();
    let operator = Operator::named(&api, "first").await;
    admit_service(&api, "ward").await;
    for name in ["conn-a", "conn-b", "conn-c"] {
        api.put(&connector_path("ward", name), connector(name, "clinic"));
    }
    api.until("a verdict for each", |api| (decided(api) == 3).then_some(()))
        .await;
    let before = admitted(&api);
    assert_eq!(before.len(), 2);
    operator.stop().await;
    let _second = Operator::named(&api, "second").await;
    api.put(&connector_path("ward", "conn-d"), connector("conn-d", "clinic"));
    api.until("a verdict for the new one", |api| (decided(api) == 4).then_some(()))
        .await;
    assert_eq!(admitted(&api), before);
}

#[tokio::test]
async fn in_namespaced_mode_each_watched_namespace_is_a_tenant() {
    let api = Api::new();
    api.put(&tenant_path("hospital"), tenant("hospital", &["ward"], 5));
    let _operator = Operator::watching(&api, &["ward"]).await;
    admit_service(&api, "ward").await;
    api.put(&service_path("annex", "clinic"), service("clinic"));
    for name in ["conn-a", "conn-b", "conn-c"] {
        api.put(&connector_path("ward", name), connector(name, "clinic"));
    }
    api.until("a verdict for each", |api| (decided(api) == 3).then_some(()))
        .await;
    assert_eq!(admitted(&api).len(), 2);
    assert!(api.get(&service_path("annex", "clinic")).unwrap()["status"].is_null());
    assert!(api.get(&tenant_path("hospital")).unwrap()["status"].is_null());
}
