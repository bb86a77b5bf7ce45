//! What the operator's options say of a collector, for itself and for the servers.

use fhir_operator::settings::Settings;

fn settings(change: impl FnOnce(&mut Settings)) -> (Settings, tempfile::TempDir) {
    let (mut settings, folder) = crate::operator::settings("only");
    settings.otlp.endpoint = Some("https://collector:4318".to_owned());
    change(&mut settings);
    (settings, folder)
}

#[test]
fn the_servers_are_told_the_same_with_the_authorities_text() {
    let (mut settings, folder) = settings(|_| {});
    let path = folder.path().join("authorities.pem");
    std::fs::write(&path, "PEM").unwrap();
    settings.otlp.ca_file = Some(path);
    let collector = settings.installation().unwrap().collector;
    assert_eq!(collector.otlp, settings.otlp);
    assert_eq!(collector.authorities.as_deref(), Some("PEM"));
}

#[test]
fn what_cannot_be_passed_on_is_refused() {
    let refused = |change: fn(&mut Settings)| {
        let (settings, _folder) = settings(change);
        settings.installation().unwrap_err().to_string()
    };
    for (error, option) in [
        (
            refused(|settings| settings.otlp.headers_file = Some("headers".into())),
            "otlp.headersFile",
        ),
        (
            refused(|settings| settings.otlp.file = Some("otlp.yaml".into())),
            "otlp.file",
        ),
    ] {
        assert!(
            error.contains(option) && error.contains("name a collector in the cluster"),
            "{error}"
        );
    }
    let error = refused(|settings| settings.otlp.endpoint = Some("http://collector:4317".to_owned()));
    assert!(error.contains("OTLP over gRPC"), "{error}");
}
