{{/*
The release's own names. With the longest of a flow behind it, and what Kubernetes appends, a label has room for 34 letters; a
Service's name begins with a letter and has no dot.
*/}}
{{- define "marketplace.fullname" -}}
{{- if not (regexMatch "^[a-z][a-z0-9-]*$" .Release.Name) }}{{ fail (printf "the release %s: its name has to begin with a letter and to have no dot" .Release.Name) }}{{ end }}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 34 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 34 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* What finds pods: never more than this, because selectors cannot be changed. `name` is that of a process. */}}
{{- define "marketplace.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "marketplace.labels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .name }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "marketplace.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* Where a part is, by the part's name: the variables that a process which needs it reads. */}}
{{- define "marketplace.part" -}}
{{- $values := .root.Values }}
{{- if eq .part "kafka" }}
MARKETPLACE_KAFKA_URL: {{ required "kafka.url is required: the bootstrap list of the brokers" $values.kafka.url | quote }}
MARKETPLACE_KAFKA_SECURITY_PROTOCOL: {{ $values.kafka.securityProtocol }}
{{- if hasPrefix "SASL" $values.kafka.securityProtocol }}
MARKETPLACE_KAFKA_SASL_MECHANISM: {{ $values.kafka.saslMechanism }}
MARKETPLACE_KAFKA_SASL_USERNAME: {{ $values.kafka.username | quote }}
MARKETPLACE_KAFKA_SASL_PASSWORD_FILE: /run/secrets/marketplace/kafka_password
{{- end }}
{{- if $values.kafka.caSecret }}
MARKETPLACE_KAFKA_SSL_CA_FILE: /run/secrets/kafka-ca/ca.crt
{{- end }}
{{- else if eq .part "mongo" }}
MARKETPLACE_MONGO_URL_FILE: /run/secrets/marketplace/mongo_url
{{- else if eq .part "clickhouse" }}
MARKETPLACE_CLICKHOUSE_URL_FILE: /run/secrets/marketplace/clickhouse_url
{{- else if eq .part "redis" }}
MARKETPLACE_REDIS_URL_FILE: /run/secrets/marketplace/redis_url
{{- else if eq .part "connect" }}
MARKETPLACE_CONNECT_URL: {{ required "connect.url is required: the REST interface of Kafka Connect" $values.connect.url | quote }}
{{- else if eq .part "payments" }}
MARKETPLACE_PAYMENTS_URL: {{ include "marketplace.paymentsUrl" .root | quote }}
{{- else if eq .part "provider" }}
MARKETPLACE_PAYMENTS_PROVIDER: {{ $values.payments.provider }}
MARKETPLACE_PAYMENTS_ACCOUNT: {{ $values.payments.account | quote }}
MARKETPLACE_PAYMENTS_LIVE: {{ $values.payments.live | ternary "on" "off" | quote }}
MARKETPLACE_PAYMENTS_SECRETS_FILE: /run/secrets/marketplace/payments
{{- else if eq .part "mail" }}
MARKETPLACE_MAIL_SMTP_HOST: {{ required "mail.host is required: a pod's disk keeps no mails" $values.mail.host | quote }}
MARKETPLACE_MAIL_SMTP_PORT: {{ $values.mail.port | quote }}
MARKETPLACE_MAIL_SMTP_ENCRYPTED: {{ $values.mail.encrypted | ternary "on" "off" | quote }}
{{- if $values.mail.username }}
MARKETPLACE_MAIL_SMTP_USERNAME: {{ $values.mail.username | quote }}
MARKETPLACE_MAIL_SMTP_PASSWORD_FILE: /run/secrets/marketplace/smtp_password
{{- end }}
{{- with $values.mail.sender }}
MARKETPLACE_MAIL_SENDER: {{ . | quote }}
{{- end }}
{{- else }}{{ fail (printf "no part is called %s" .part) }}
{{- end }}
{{- end }}

{{- define "marketplace.paymentsUrl" -}}
{{- if .Values.sandbox.enabled }}http://{{ include "marketplace.fullname" . }}-sandbox:18700
{{- else }}{{ required "payments.url is required, or sandbox.enabled for trial" .Values.payments.url }}{{ end }}
{{- end }}

{{/* The files of secrets that the parts named mean: keys of the Secret by names of files. */}}
{{- define "marketplace.secretItems" -}}
{{- $keys := .root.Values.secrets.keys }}
{{- range .parts }}
{{- if and (eq . "kafka") (hasPrefix "SASL" $.root.Values.kafka.securityProtocol) }}
- {key: {{ $keys.kafkaPassword }}, path: kafka_password}
{{- else if eq . "mongo" }}
- {key: {{ $keys.mongoUrl }}, path: mongo_url}
{{- else if eq . "clickhouse" }}
- {key: {{ $keys.clickhouseUrl }}, path: clickhouse_url}
{{- else if eq . "redis" }}
- {key: {{ $keys.redisUrl }}, path: redis_url}
{{- else if eq . "provider" }}
- {key: {{ $keys.payments }}, path: payments}
{{- else if and (eq . "mail") $.root.Values.mail.username }}
- {key: {{ $keys.smtpPassword }}, path: smtp_password}
{{- else if eq . "keys" }}
- {key: {{ $keys.apiKeys }}, path: api_keys}
{{- end }}
{{- end }}
{{- end }}

{{/*
A pod of ours.

root: the chart's root; name: of the process in this release; of: its values; parts: what it needs, see
marketplace.part; environment: its own variables, a map; args: of the image's command; ports: by name;
live, ready: the paths of its probes at the port `probe`; empty for jobs. grace: seconds it may take to end.
*/}}
{{- define "marketplace.pod" -}}
{{- $root := .root }}
{{- $defaults := $root.Values.podDefaults }}
{{- $resources := .of.resources }}
{{- range list "cpu" "memory" }}
{{- $least := get $resources.requests . }}
{{- $most := get $resources.limits . }}
{{- if gt (float64 (include "marketplace.quantity" $least)) (float64 (include "marketplace.quantity" $most)) }}
{{- fail (printf "%s: it requests %s %v, and its limit is %v" $.name . $least $most) }}
{{- end }}
{{- end }}
metadata:
  labels:
    {{- include "marketplace.labels" (dict "root" $root "name" .name) | nindent 4 }}
  {{- $annotations := merge (dict) (default (dict) .of.annotations) $defaults.annotations }}
  {{- if and .metrics $root.Values.metrics.annotations }}
  {{- $annotations = merge $annotations (dict "prometheus.io/scrape" "true" "prometheus.io/path" "/metrics" "prometheus.io/port" (toString .metrics)) }}
  {{- end }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ .account | default (include "marketplace.fullname" $root) }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .grace | default 30 }}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with .of.nodeSelector | default $defaults.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .of.tolerations | default $defaults.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .of.affinity | default $defaults.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .of.priorityClassName | default $defaults.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .restart }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- if .spread }}
  # Not two of one process on one node or in one zone where others are free.
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      matchLabelKeys: [pod-template-hash]
      labelSelector:
        matchLabels:
          {{- include "marketplace.selector" (dict "root" $root "name" $.name) | nindent 10 }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .container | default "process" }}
      image: {{ include "marketplace.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      {{- with .command }}
      command: {{ toJson . }}
      {{- end }}
      args: {{ toJson .args }}
      {{- $environment := dict "MARKETPLACE_DATABASE" $root.Values.database "MARKETPLACE_DATA" "/data" "MARKETPLACE_LOG_FORMAT" "json" }}
      {{- range .parts }}
      {{- if ne . "keys" }}
      {{- $environment = merge $environment (include "marketplace.part" (dict "root" $root "part" .) | fromYaml) }}
      {{- end }}
      {{- end }}
      {{- $environment = mergeOverwrite $environment .environment $root.Values.settings (default (dict) .of.settings) }}
      env:
        {{- range $name := keys $environment | sortAlpha }}
        - {name: {{ $name }}, value: {{ get $environment $name | toString | quote }}}
        {{- end }}
      {{- with .ports }}
      ports:
        {{- range $name, $number := . }}
        - {name: {{ $name }}, containerPort: {{ $number }}, protocol: TCP}
        {{- end }}
      {{- end }}
      {{- if .live }}
      # It may wait for its parts for minutes: then it lives and is not ready.
      startupProbe:
        httpGet: {path: {{ .live }}, port: {{ .probe }}}
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 60
      # Fails where the process makes no progress; that a part is away fails it never.
      livenessProbe:
        httpGet: {path: {{ .live }}, port: {{ .probe }}}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 4
      readinessProbe:
        httpGet: {path: {{ .ready }}, port: {{ .probe }}}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      {{- end }}
      resources:
        {{- toYaml .of.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        privileged: false
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: data, mountPath: /data}
        {{- if .parts }}
        - {name: secrets, mountPath: /run/secrets/marketplace, readOnly: true}
        {{- end }}
        {{- if and (has "kafka" .parts) $root.Values.kafka.caSecret }}
        - {name: kafka-ca, mountPath: /run/secrets/kafka-ca, readOnly: true}
        {{- end }}
        {{- range .of.mounts | default $defaults.mounts }}
        - {{ toJson (merge (dict "readOnly" true) .) }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 256Mi}
    {{- if not .claim }}
    - name: data
      emptyDir: {sizeLimit: 256Mi}
    {{- end }}
    {{- if .parts }}
    - name: secrets
      secret:
        secretName: {{ required "secrets.name is required: the Secret that holds all secrets" $root.Values.secrets.name }}
        defaultMode: 0440
        items:
          {{- include "marketplace.secretItems" (dict "root" $root "parts" .parts) | trim | nindent 10 }}
    {{- end }}
    {{- if and (has "kafka" .parts) $root.Values.kafka.caSecret }}
    - name: kafka-ca
      secret:
        secretName: {{ $root.Values.kafka.caSecret }}
        defaultMode: 0440
        items: [{key: {{ $root.Values.kafka.caKey }}, path: ca.crt}]
    {{- end }}
    {{- range .of.volumes | default $defaults.volumes }}
    - {{ toJson . }}
    {{- end }}
{{- end }}

{{/* A quantity of Kubernetes as a plain number. */}}
{{- define "marketplace.quantity" -}}
{{- $text := kindIs "float64" . | ternary (printf "%f" (float64 .)) (toString .) }}
{{- $factors := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 }}
{{- mulf (float64 (regexFind "^[0-9.]+" $text)) (get $factors (regexFind "[A-Za-z]+$" $text)) }}
{{- end }}
