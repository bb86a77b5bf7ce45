//! `admission.k8s.io/v1` AdmissionReview: what is asked, and the answer.

use fhir_operator_core::admission::Judgement;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::observe::store::Name;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Review {
    uid: String,
    /// Kind of the object.
    pub kind: String,
    /// Its namespace, empty for a cluster-scoped one.
    pub namespace: String,
    /// Its name.
    pub name: String,
    object: Value,
    old: Value,
}

/// Why a review can't be judged.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Not a review.
    #[error("not an AdmissionReview of admission.k8s.io/v1: `{0}` is missing")]
    Malformed(&'static str),
    /// The object doesn't fit its kind.
    #[error("the object doesn't fit its kind")]
    Object(#[from] serde_json::Error),
}

impl Review {
    /// Reads a request.
    pub fn read(body: &Value) -> Result<Self, ReviewError> {
        let request = body.get("request").ok_or(ReviewError::Malformed("request"))?;
        let text = |path: &str, what| {
            request
                .pointer(path)
                .and_then(Value::as_str)
                .map(ToOwned::to_owned)
                .ok_or(ReviewError::Malformed(what))
        };
        Ok(Self {
            uid: text("/uid", "request.uid")?,
            kind: text("/kind/kind", "request.kind.kind")?,
            namespace: text("/namespace", "").unwrap_or_default(),
            name: text("/name", "").unwrap_or_default(),
            object: request
                .get("object")
                .cloned()
                .ok_or(ReviewError::Malformed("request.object"))?,
            old: request.get("oldObject").cloned().unwrap_or_default(),
        })
    }

    /// The object as it would be.
    pub fn proposed<K: DeserializeOwned>(&self) -> Result<K, ReviewError> {
        // The namespace of an object that is being created may stand beside it only.
        let mut object = self.object.clone();
        if !self.namespace.is_empty()
            && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata
                .entry("namespace")
                .or_insert_with(|| Value::String(self.namespace.clone()));
        }
        Ok(K::deserialize(&object)?)
    }

    /// The object as it is, for an update.
    pub fn current<K: DeserializeOwned>(&self) -> Result<Option<K>, ReviewError> {
        if self.old.is_null() {
            Ok(None)
        } else {
            Ok(Some(K::deserialize(&self.old)?))
        }
    }

    /// Namespace and name of the object.
    pub fn named(&self) -> Name {
        Name::new(&self.namespace, &self.name)
    }

    /// The answer: a denial is 403 `Forbidden` with the rule's words.
    pub fn answer(&self, judgement: &Judgement) -> Value {
        let mut response = json!({"uid": self.uid, "allowed": judgement.denial.is_none()});
        if let Some(denial) = &judgement.denial {
            response["status"] = json!({
                "status": "Failure",
                "code": 403,
                "reason": "Forbidden",
                "message": denial.message,
                "details": {"causes": [{"reason": denial.reason.name(), "message": denial.message}]},
            });
        }
        if !judgement.warnings.is_empty() {
            response["warnings"] = json!(judgement.warnings);
        }
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }
}

#[cfg(test)]
mod tests {
    use fhir_operator_api::Reason;
    use fhir_operator_core::Refusal;

    use super::*;

    fn review() -> Review {
        let body = json!({"request": {
            "uid": "u-1", "kind": {"kind": "IoTConnector"}, "namespace": "ward", "name": "vitals",
            "operation": "CREATE", "object": {"metadata": {"name": "vitals"}}, "oldObject": null,
        }});
        Review::read(&body).unwrap()
    }

    #[test]
    fn a_denial_is_forbidden_in_the_rules_words() {
        let refusal = Refusal::new(Reason::QuotaExceeded, "no place left");
        let answer = review().answer(&Judgement {
            denial: Some(refusal),
            warnings: Vec::new(),
        });
        assert_eq!(answer["response"]["allowed"], false);
        assert_eq!(answer["response"]["status"]["code"], 403);
        assert_eq!(answer["response"]["status"]["reason"], "Forbidden");
        assert_eq!(answer["response"]["status"]["message"], "no place left");
    }

    #[test]
    fn a_warning_lets_it_pass() {
        let answer = review().answer(&Judgement {
            denial: None,
            warnings: vec!["later".to_owned()],
        });
        assert_eq!(
            answer["response"],
            json!({"uid": "u-1", "allowed": true, "warnings": ["later"]})
        );
    }

    #[test]
    fn what_is_no_review_is_told() {
        assert!(Review::read(&json!({})).is_err());
        assert_eq!(review().named(), Name::new("ward", "vitals"));
        assert!(review().current::<Value>().unwrap().is_none());
    }
}
