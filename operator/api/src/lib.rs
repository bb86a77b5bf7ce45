//! The custom resources: Tenant, FhirService, IoTConnector
