{{- define "groupcast.name" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- /* The labels by which a Deployment finds its pods. Input: a dict of root and component. */}}
{{- define "groupcast.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "groupcast.labels" -}}
{{ include "groupcast.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- end }}

{{- define "groupcast.secret" -}}
{{ required "secret.name is missing: name a Secret that has JWT_SECRET, RELAY_SERVICE_SECRET, DATABASE_URL and, for several relays, REDIS_URL" .Values.secret.name }}
{{- end }}

{{- /* One variable from the Secret. Input: a dict of root, key and optional. */}}
{{- define "groupcast.fromSecret" -}}
- name: {{ .key }}
  valueFrom:
    secretKeyRef:
      name: {{ include "groupcast.secret" .root }}
      key: {{ .key }}
      optional: {{ .optional }}
{{- end }}

{{- /* The variables that both services read. */}}
{{- define "groupcast.env" -}}
{{ include "groupcast.fromSecret" (dict "root" . "key" "JWT_SECRET" "optional" (or (hasKey .Values.relay.env "JWT_JWKS_URL") (hasKey .Values.relay.env "AUTH_BY"))) }}
{{ include "groupcast.fromSecret" (dict "root" . "key" "RELAY_SERVICE_SECRET" "optional" false) }}
{{- range .Values.secret.optionalKeys }}
{{ include "groupcast.fromSecret" (dict "root" $ "key" . "optional" true) }}
{{- end }}
- name: SOCKET_CORS_ORIGIN
  value: {{ required "corsOrigin is missing: list the origins of your web app, such as https://app.example.com" .Values.corsOrigin | quote }}
{{- end }}

{{- /* The variables of relay.env or api.env. The schema refuses those that the chart sets. Input: a dict of root and component. */}}
{{- define "groupcast.otherEnv" -}}
{{- range $name, $value := (get .root.Values .component).env }}
{{- if has $name $.root.Values.secret.optionalKeys }}
{{- fail (printf "%s.env.%s is in secret.optionalKeys too: it would be set twice. Take it out of one of them" $.component $name) }}
{{- end }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- /* What every pod and container may do: nothing but its own work. Input: a dict of root and component. */}}
{{- define "groupcast.podSettings" -}}
automountServiceAccountToken: false
# A Service called "api" would set API_PORT=tcp://… otherwise.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65534
  runAsGroup: 65534
  fsGroup: 65534
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "groupcast.selector" . | nindent 8 }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "groupcast.selector" . | nindent 8 }}
volumes:
  - name: tmp
    emptyDir:
      medium: Memory
      sizeLimit: 64Mi
{{- end }}

{{- define "groupcast.container" -}}
image: {{ printf "%s:%s" (required "image.repository is missing: name the registry and repository to which you pushed the image of deploy/Dockerfile" .Values.image.repository) (default .Chart.AppVersion .Values.image.tag) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop:
      - ALL
volumeMounts:
  - name: tmp
    mountPath: /tmp
{{- end }}

{{- /* Input: the values of a service. The process ends itself 7 s after its drain, if that hangs. */}}
{{- define "groupcast.graceSeconds" -}}
{{ add .preStopSeconds .drainSeconds 12 }}
{{- end }}

{{- define "groupcast.relayUrl" -}}
http://{{ include "groupcast.name" . }}-relay:3001
{{- end }}

{{- /* Where relays ask: this release's API, a back end of your own, or nobody. */}}
{{- define "groupcast.apiUrl" -}}
{{- if .Values.api.enabled }}http://{{ include "groupcast.name" . }}-api:3000{{ else }}{{ .Values.api.ownBackEndUrl }}{{ end -}}
{{- end }}

{{- /* The names with dots under which an internal port is asked from other namespaces. Input: a dict of root and component. */}}
{{- define "groupcast.internalNames" -}}
{{- $name := printf "%s-%s-internal.%s" (include "groupcast.name" .root) .component .root.Release.Namespace -}}
{{ $name }},{{ $name }}.svc,{{ $name }}.svc.cluster.local
{{- end }}
