//! The pages: what each says beside its tables.

use anyhow::Result;
use fhir_operator::settings::Settings as OperatorSettings;
use fhir_operator_core::Installation;
use fhir_server_settings::{Access, Settings as ServerSettings};
use iot_connector_settings::{ConnectionKeys, Settings as ConnectorSettings};
use schemars::schema_for;
use serde_json::Value;

use crate::options::{File, Page};

/// File names and texts.
pub fn all() -> Result<[(&'static str, String); 3]> {
    Ok([
        ("fhir-operator.md", operator()?),
        ("fhir-server.md", server()),
        ("iot-connector.md", connector()),
    ])
}

fn connector() -> String {
    let page = Page {
        command: "iot-connector run",
        prefix: iot_connector_settings::ENVIRONMENT_PREFIX,
        schema: schema_for!(ConnectorSettings).to_value(),
        settings: "`--settings FILE`",
        files: vec![File {
            title: "The keys file, `ConnectionKeys`",
            about: "Option `keys` names it. It holds hashes only, so it is no secret; the operator writes it from the connections of an \
                IoTConnector.",
            example: "keys:\n- connection: ward\n  sha256: 5ca24005b740717ba4f3f6bc48a230700e68c2a4b11ecedb96f169f4efaf1f21 # printf %s KEY | sha256sum\n",
            schema: schema_for!(ConnectionKeys).to_value(),
        }],
    };
    let mappings = "## The mapping files\n\n`deviceMapping` names a `CollectionContent`, `fhirMapping` a `CollectionFhir`: \
        [mappings](../iot-connectors.md#mappings) tells what may be in them.";
    format!("{page}\n{mappings}\n")
}

fn server() -> String {
    let page = Page {
        command: "fhir-server serve",
        prefix: fhir_server_settings::ENVIRONMENT_PREFIX,
        schema: schema_for!(ServerSettings).to_value(),
        settings: "`--settings FILE`",
        files: vec![File {
            title: "The access file, `Access`",
            about: "Option `accessFile` names it; option `access` holds the same in the settings file itself.",
            example: "issuers:\n- authority: https://login.example.org/realms/health\n  audiences: [https://clinic.example.org]\ngrants:\n\
                - role: Contributor\n  subjects: [{ claim: groups, value: clinicians }]\n",
            schema: schema_for!(Access).to_value(),
        }],
    };
    page.to_string()
}

fn operator() -> Result<String> {
    let mut schema = schema_for!(OperatorSettings).to_value();
    // Its default has the number of the process that prints this.
    schema["properties"]["identity"]["default"] = Value::from("local-PROCESS");
    let page = Page {
        command: "fhir-operator run",
        prefix: "FHIR_OPERATOR",
        schema,
        settings: "`--settings FILE` or `FHIR_OPERATOR_SETTINGS`",
        files: Vec::new(),
    };
    let installation = serde_yaml::to_string(&Installation::default())?;
    Ok(format!(
        "{page}\n## `installation` and `releases`\n\nThe chart writes both from its values, and `charts/fhir-operator/values.yaml` says \
        what they mean. What is absent from `installation` is:\n\n```yaml\n{installation}```\n"
    ))
}
