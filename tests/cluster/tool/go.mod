module fhir-operator.dev/cluster/tool

go 1.24
