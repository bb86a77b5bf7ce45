//! Manifests of our custom resources, as small as they can be; scenarios add what they are about.

/// A FhirService that takes ServiceAccount tokens; `more` is further YAML under `spec`, indented by two.
pub fn service(name: &str, version: &str, more: &str) -> String {
    format!(
        "apiVersion: fhir-operator.dev/v1alpha1\nkind: FhirService\nmetadata:\n  name: {name}\nspec:\n  fhirVersion: {version}\n  \
         authentication: {{serviceAccounts: true}}\n  access:\n  - role: Contributor\n    subjects: [{{serviceAccount: default}}]\n{more}"
    )
}

/// An IoTConnector of `service` that makes devices and patients, with one heart rate template.
pub fn connector(name: &str, service: &str, more: &str) -> String {
    format!(
        r#"apiVersion: fhir-operator.dev/v1alpha1
kind: IoTConnector
metadata:
  name: {name}
spec:
  fhirService: {service}
  identityResolution: Create
  window: {{flushSeconds: 1}}
  deviceMapping:
    templateType: CollectionContent
    template:
    - templateType: JsonPathContent
      template:
        typeName: heartrate
        typeMatchExpression: "$..[?(@heartRate)]"
        deviceIdExpression: "$.deviceId"
        patientIdExpression: "$.patientId"
        timestampExpression: "$.endDate"
        values:
        - {{required: "true", valueExpression: "$.heartRate", valueName: hr}}
  fhirMapping:
    templateType: CollectionFhir
    template:
    - templateType: CodeValueFhir
      template:
        codes: [{{code: "8867-4", system: "http://loinc.org", display: Heart rate}}]
        periodInterval: 0
        typeName: heartrate
        value: {{valueName: hr, valueType: Quantity, unit: count/min, code: /min, system: "http://unitsofmeasure.org"}}
{more}"#
    )
}

/// A Tenant that holds these namespaces.
pub fn tenant(name: &str, namespaces: &[&str], connectors: u32) -> String {
    format!(
        "apiVersion: fhir-operator.dev/v1alpha1\nkind: Tenant\nmetadata:\n  name: {name}\nspec:\n  namespaces: [{}]\n  quota: {{iotConnectors: {connectors}}}\n",
        namespaces.join(", ")
    )
}
