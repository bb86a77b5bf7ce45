{{- define "fhir-operator.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "fhir-operator.lease" -}}
{{ include "fhir-operator.name" . }}
{{- end -}}

{{- define "fhir-operator.caSecret" -}}
{{ include "fhir-operator.name" . }}-webhook-ca
{{- end -}}

{{- define "fhir-operator.webhookService" -}}
{{ include "fhir-operator.name" . }}-webhook
{{- end -}}

{{- define "fhir-operator.webhookConfiguration" -}}
{{ include "fhir-operator.name" . }}
{{- end -}}

{{- define "fhir-operator.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "fhir-operator.namespaced" -}}
{{- if .Values.watchNamespaces }}true{{ end -}}
{{- end -}}

{{- define "fhir-operator.webhook" -}}
{{- if and .Values.webhook.enabled (not .Values.watchNamespaces) }}true{{ end -}}
{{- end -}}

{{- define "fhir-operator.selector" -}}
app.kubernetes.io/name: fhir-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fhir-operator.labels" -}}
{{ include "fhir-operator.selector" . }}
app.kubernetes.io/part-of: fhir-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
