//! Every option, port, path and the status page of fhir-server, once
