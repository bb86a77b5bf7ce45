//! A real identity provider on a local port: discovery, rotation, failure, and every reason for a refusal.

mod client;
mod idp;
mod token_issuer;

use std::{sync::Arc, time::Duration};

use bearer::{BearerError, Issuer, KeySource, Options, Verifier};
use idp::{Idp, Signer, claims, now};
use rstest::rstest;
use serde_json::json;

const AUDIENCE: &str = "https://clinic.example.org";

fn options() -> Options {
    Options {
        refresh_at_most_every: Duration::ZERO,
        leeway: Duration::from_secs(5),
        ..Options::default()
    }
}

fn discovered(idp: &Idp) -> Issuer {
    Issuer {
        authority: idp.authority(),
        audiences: vec![AUDIENCE.to_owned()],
        keys: KeySource::Discovery {
            ca_bundle: idp.ca_bundle(),
        },
    }
}

#[rstest]
#[case::rs256("RS256")]
#[case::rs384("RS384")]
#[case::rs512("RS512")]
#[case::ps256("PS256")]
#[case::ps384("PS384")]
#[case::ps512("PS512")]
#[case::es256("ES256")]
#[case::es384("ES384")]
#[tokio::test]
async fn a_token_of_a_discovered_issuer_is_verified(#[case] algorithm: &str) {
    let signer = Signer::new("k1", algorithm);
    let idp = Idp::start(vec![signer.jwk()]).await;
    let verifier = Verifier::start(&[discovered(&idp)], &options()).unwrap();
    let mut wanted = claims(&idp.authority(), AUDIENCE);
    wanted["groups"] = json!(["clinicians", "staff"]);
    wanted["realm_access"] = json!({"roles": ["reader"]});
    let header = format!("Bearer {}", signer.sign(&wanted));

    let found = verifier.authenticate(Some(&header)).await.unwrap();

    assert_eq!(found.issuer, idp.authority());
    assert_eq!(found.subject(), Some("someone"));
    assert_eq!(found.texts("groups").collect::<Vec<_>>(), ["clinicians", "staff"]);
    assert_eq!(found.texts("realm_access.roles").collect::<Vec<_>>(), ["reader"]);
}

#[tokio::test]
async fn a_hot_token_is_verified_once() {
    let signer = Signer::new("k1", "RS256");
    let idp = Idp::start(vec![signer.jwk()]).await;
    let verifier = Verifier::start(&[discovered(&idp)], &options()).unwrap();
    let token = signer.sign(&claims(&idp.authority(), AUDIENCE));
    let first = verifier.verify(&token).await.unwrap();
    let second = verifier.verify(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

#[tokio::test]
async fn a_rotated_key_is_fetched_and_a_withdrawn_one_ends_cached_tokens() {
    let (old, new) = (Signer::new("old", "RS256"), Signer::new("new", "ES256"));
    let idp = Idp::start(vec![old.jwk()]).await;
    let verifier = Verifier::start(&[discovered(&idp)], &options()).unwrap();
    let old_token = old.sign(&claims(&idp.authority(), AUDIENCE));
    let new_token = new.sign(&claims(&idp.authority(), AUDIENCE));
    verifier.verify(&old_token).await.unwrap();
    assert_eq!(
        verifier.verify(&new_token).await.unwrap_err(),
        BearerError::Key("new".to_owned())
    );

    idp.publish(vec![new.jwk()]);

    verifier.verify(&new_token).await.unwrap();
    assert_eq!(
        verifier.verify(&old_token).await.unwrap_err(),
        BearerError::Key("old".to_owned())
    );
}

#[tokio::test]
async fn unknown_keys_ask_the_issuer_at_a_limited_rate() {
    let (known, unknown) = (Signer::new("known", "RS256"), Signer::new("unknown", "ES256"));
    let idp = Idp::start(vec![known.jwk()]).await;
    let slow = Options {
        refresh_at_most_every: Duration::from_hours(1),
        ..options()
    };
    let verifier = Verifier::start(&[discovered(&idp)], &slow).unwrap();
    verifier
        .verify(&known.sign(&claims(&idp.authority(), AUDIENCE)))
        .await
        .unwrap();
    let asked = idp.fetches();
    for _ in 0..50 {
        let token = unknown.sign(&claims(&idp.authority(), AUDIENCE));
        assert_eq!(
            verifier.verify(&token).await.unwrap_err(),
            BearerError::Key("unknown".to_owned())
        );
    }
    assert_eq!(idp.fetches(), asked);
}

#[tokio::test]
async fn a_failing_issuer_costs_only_its_own_tokens_and_recovers() {
    let (steady, failing) = (Signer::new("a", "RS256"), Signer::new("b", "RS256"));
    let (one, two) = (
        Idp::start(vec![steady.jwk()]).await,
        Idp::start(vec![failing.jwk()]).await,
    );
    two.fail(true);
    let verifier = Verifier::start(&[discovered(&two), discovered(&one)], &options()).unwrap();
    verifier
        .verify(&steady.sign(&claims(&one.authority(), AUDIENCE)))
        .await
        .unwrap();
    let token = failing.sign(&claims(&two.authority(), AUDIENCE));
    let error = verifier.verify(&token).await.unwrap_err();
    assert_eq!(error, BearerError::KeysUnavailable);
    assert!(error.is_temporary());

    two.fail(false);
    verifier.verify(&token).await.unwrap();
    two.fail(true);
    verifier
        .verify(&failing.sign(&claims(&two.authority(), AUDIENCE)))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_issuer_with_its_own_authority_is_reached_over_tls() {
    let signer = Signer::new("k1", "ES256");
    let idp = Idp::start_tls(vec![signer.jwk()]).await;
    let token = signer.sign(&claims(&idp.authority(), AUDIENCE));
    let trusting = Verifier::start(&[discovered(&idp)], &options()).unwrap();
    trusting.verify(&token).await.unwrap();

    let without = Issuer {
        keys: KeySource::Discovery { ca_bundle: None },
        ..discovered(&idp)
    };
    let suspicious = Verifier::start(&[without], &options()).unwrap();
    assert_eq!(
        suspicious.verify(&token).await.unwrap_err(),
        BearerError::KeysUnavailable
    );
}

#[tokio::test]
async fn keys_come_from_a_file_that_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let (old, new) = (Signer::new("old", "RS256"), Signer::new("new", "RS256"));
    std::fs::write(&path, json!({"keys": [old.jwk()]}).to_string()).unwrap();
    let authority = "https://kubernetes.default.svc.cluster.local";
    let issuer = Issuer {
        authority: authority.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        keys: KeySource::File(path.clone()),
    };
    let verifier = Verifier::start(&[issuer], &options()).unwrap();
    verifier.verify(&old.sign(&claims(authority, AUDIENCE))).await.unwrap();
    std::fs::write(&path, json!({"keys": [new.jwk()]}).to_string()).unwrap();
    verifier.verify(&new.sign(&claims(authority, AUDIENCE))).await.unwrap();
}

#[rstest]
#[case::expired("exp", json!(now() - 10), BearerError::Expired)]
#[case::expired_fraction("exp", json!(1.5), BearerError::Expired)]
#[case::endless("exp", json!(null), BearerError::Expired)]
#[case::not_yet("nbf", json!(now() + 60), BearerError::NotYet)]
#[case::audience("aud", json!("https://other.example.org"), BearerError::Audience)]
#[case::audiences("aud", json!(["a", "b"]), BearerError::Audience)]
#[case::no_audience("aud", json!(null), BearerError::Audience)]
#[case::issuer("iss", json!("https://evil.example.org"), BearerError::Issuer("https://evil.example.org".to_owned()))]
#[case::issuer_slash("iss", json!("slash"), BearerError::Issuer("AUTHORITY/".to_owned()))]
#[case::no_issuer("iss", json!(null), BearerError::Malformed("it names no issuer"))]
#[tokio::test]
async fn a_wrong_claim_is_refused(#[case] name: &str, #[case] value: serde_json::Value, #[case] expected: BearerError) {
    let signer = Signer::new("k1", "ES256");
    let idp = Idp::start(vec![signer.jwk()]).await;
    let verifier = Verifier::start(&[discovered(&idp)], &options()).unwrap();
    let mut wrong = claims(&idp.authority(), AUDIENCE);
    verifier.verify(&signer.sign(&wrong)).await.unwrap();
    wrong[name] = if value == "slash" {
        json!(format!("{}/", idp.authority()))
    } else {
        value
    };
    let error = verifier.verify(&signer.sign(&wrong)).await.unwrap_err();
    let expected = match expected {
        BearerError::Issuer(issuer) => BearerError::Issuer(issuer.replace("AUTHORITY", &idp.authority())),
        other => other,
    };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let (signer, other) = (Signer::new("k1", "RS256"), Signer::new("k1", "RS256"));
    let idp = Idp::start(vec![signer.jwk()]).await;
    let verifier = Verifier::start(&[discovered(&idp)], &options()).unwrap();
    let good = claims(&idp.authority(), AUDIENCE);
    let token = signer.sign(&good);
    verifier.verify(&token).await.unwrap();

    assert_eq!(
        verifier.verify(&other.sign(&good)).await.unwrap_err(),
        BearerError::Signature
    );
    for algorithm in ["none", "HS256"] {
        let forged = idp::unsigned(&json!({"alg": algorithm, "kid": "k1"}), &good);
        assert_eq!(
            verifier.verify(&forged).await.unwrap_err(),
            BearerError::Algorithm(algorithm.to_owned())
        );
    }
    let forged = idp::unsigned(&json!({"alg": "ES256", "kid": "k1"}), &good);
    assert_eq!(
        verifier.verify(&forged).await.unwrap_err(),
        BearerError::Algorithm("ES256".to_owned())
    );
    let forged = idp::unsigned(&json!({"alg": "RS256", "kid": "k1", "crit": ["exp"]}), &good);
    assert_eq!(
        verifier.verify(&forged).await.unwrap_err(),
        BearerError::Malformed("it has critical extensions")
    );
    let (head, tail) = token.rsplit_once('.').unwrap();
    for text in ["", ".", "..", "a.b.c", "a.b.c.d", head, tail] {
        assert!(
            matches!(verifier.verify(text).await.unwrap_err(), BearerError::Malformed(_)),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_header_says_what_is_missing() {
    let verifier = Verifier::start(&[], &options()).unwrap();
    assert_eq!(verifier.authenticate(None).await.unwrap_err(), BearerError::Missing);
    assert_eq!(
        verifier.authenticate(Some("Basic YTpi")).await.unwrap_err(),
        BearerError::Scheme
    );
    assert_eq!(
        verifier.authenticate(Some("Bearer ")).await.unwrap_err(),
        BearerError::Missing
    );
    assert_eq!(BearerError::Missing.challenge(), "Bearer");
    assert_eq!(
        BearerError::Expired.challenge(),
        "Bearer error=\"invalid_token\", error_description=\"the token is expired\""
    );
}

#[tokio::test]
async fn an_issuer_without_tls_or_audience_is_refused() {
    let idp = Idp::start(Vec::new()).await;
    let plain = Issuer {
        authority: "http://idp.example.org".to_owned(),
        ..discovered(&idp)
    };
    assert!(Verifier::start(&[plain], &options()).is_err());
    let open = Issuer {
        audiences: Vec::new(),
        ..discovered(&idp)
    };
    assert!(Verifier::start(&[open], &options()).is_err());
}
