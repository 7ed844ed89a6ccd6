{{/* Names of Services begin with a letter and have no dots; those of releases need not. */}}
{{- define "segfleet.name" -}}
{{- $release := .Release.Name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- if not (regexMatch "^[a-z]" $release) }}segfleet-{{ end }}{{ $release }}-operator
{{- end }}

{{/* Of objects that belong to the whole cluster: two releases never share one. */}}
{{- define "segfleet.clusterName" -}}
{{ .Release.Namespace }}:{{ include "segfleet.name" . }}
{{- end }}

{{- define "segfleet.labels" -}}
{{- $own := include "segfleet.ownLabels" . | fromYaml }}
{{- range $label, $_ := .Values.labels }}
{{- if hasKey $own $label }}
{{- fail (printf "labels.%s: the chart sets this label itself; choose another key" $label) }}
{{- end }}
{{- end }}
{{- merge $own .Values.labels | toYaml }}
{{- end }}

{{- define "segfleet.ownLabels" -}}
{{ include "segfleet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end }}

{{- define "segfleet.selector" -}}
app.kubernetes.io/name: segfleet
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "segfleet.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "segfleet.name" .) | quote }}
{{- end }}

{{- define "segfleet.subjects" -}}
- { kind: ServiceAccount, name: {{ include "segfleet.serviceAccount" . }}, namespace: {{ .Release.Namespace | quote }} }
{{- end }}

{{- define "segfleet.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ $tag }}
{{- end }}
{{- end }}

{{/* What the operator does to jobs and what belongs to them. It enters no pods, and deletes no more than jobs and their Jobs: the rest goes with its owner. */}}
{{- define "segfleet.rules" -}}
- apiGroups: [segfleet.dev]
  resources: [sweeps]
  verbs: [get, list, watch]
- apiGroups: [segfleet.dev]
  resources: [trainingjobs] # makes those that are trials of a sweep, and suspends them
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [segfleet.dev]
  resources: [trainingjobs/status, sweeps/status]
  verbs: [patch]
- apiGroups: [segfleet.dev]
  resources: [trainingjobs/finalizers, sweeps/finalizers] # so that children may hold their owner back where the cluster demands that right
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [secrets] # makes the keys of a run, and sees by their names whether they are there
  verbs: [get, create]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [get, list, create, patch]
{{- end }}
