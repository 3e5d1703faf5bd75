{{/* The name of the release's objects. */}}
{{- define "postrider.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that select, of (dict "root" $ "role" "deliver"). */}}
{{- define "postrider.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with dig "role" "" . }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* All labels. */}}
{{- define "postrider.labels" -}}
{{ include "postrider.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "postrider.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "postrider.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: missing: want the existing one to use, or serviceAccount.create" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "postrider.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* The roles, and what is known of each: the secrets that it reads and whether it reaches endpoints. */}}
{{- define "postrider.roles" -}}
router: {secrets: [kafka, kafkaTLS, redis, redisTLS], group: router}
deliver: {secrets: [kafka, kafkaTLS, redis, redisTLS, encryption, egressProxy], outside: true, group: deliverer}
retry: {secrets: [kafka, kafkaTLS, redis, redisTLS], group: retrier}
recorder: {secrets: [kafka, kafkaTLS, redis, redisTLS], group: recorder}
api: {secrets: [kafka, kafkaTLS, redis, redisTLS, encryption, egressProxy, smtp], outside: true, group: disabler}
{{- end -}}

{{/* The values of a role, as YAML: its own over the defaults. */}}
{{- define "postrider.role" -}}
{{- mustMergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (dig .role dict .root.Values.roles)) | toYaml -}}
{{- end -}}

{{/* Postrider's configuration as YAML, of (dict "root" $ "own" its-values "secrets" names "profiles" configmap): config, the
role's own, and where secrets and profiles are mounted. */}}
{{- define "postrider.config" -}}
{{- $config := mustMergeOverwrite (deepCopy .root.Values.config) (deepCopy (dig "config" dict .own)) -}}
{{- $secrets := mustMergeOverwrite (deepCopy .root.Values.secrets) (deepCopy (dig "secrets" dict .own)) -}}
{{- $add := dict -}}
{{- range $kind := .secrets -}}
{{- $s := index $secrets $kind -}}
{{- if $s.name -}}
{{- $dir := printf "/etc/postrider/secrets/%s" $kind -}}
{{- if eq $kind "kafka" -}}
{{- $_ := mustMergeOverwrite $add (dict "kafka" (dict "sasl" (dict "password_file" (printf "%s/%s" $dir $s.passwordKey)))) -}}
{{- else if eq $kind "kafkaTLS" -}}
{{- $tls := dict "enabled" true -}}
{{- if $s.caKey }}{{ $_ := set $tls "ca_file" (printf "%s/%s" $dir $s.caKey) }}{{ end -}}
{{- if $s.certKey }}{{ $_ := set $tls "cert_file" (printf "%s/%s" $dir $s.certKey) }}{{ end -}}
{{- if $s.keyKey }}{{ $_ := set $tls "key_file" (printf "%s/%s" $dir $s.keyKey) }}{{ end -}}
{{- $_ := mustMergeOverwrite $add (dict "kafka" (dict "tls" $tls)) -}}
{{- else if eq $kind "redis" -}}
{{- $_ := mustMergeOverwrite $add (dict "redis" (dict "password_file" (printf "%s/%s" $dir $s.passwordKey))) -}}
{{- else if eq $kind "redisTLS" -}}
{{- $_ := mustMergeOverwrite $add (dict "redis" (dict "tls" (dict "enabled" true "ca_file" (printf "%s/%s" $dir $s.caKey)))) -}}
{{- else if eq $kind "encryption" -}}
{{- $_ := mustMergeOverwrite $add (dict "encryption" (dict "keyset_file" (printf "%s/%s" $dir $s.keysetKey))) -}}
{{- else if eq $kind "smtp" -}}
{{- $_ := mustMergeOverwrite $add (dict "notices" (dict "smtp" (dict "password_file" (printf "%s/%s" $dir $s.passwordKey)))) -}}
{{- else if eq $kind "egressProxy" -}}
{{- $_ := mustMergeOverwrite $add (dict "egress" (dict "proxy" (dict "password_file" (printf "%s/%s" $dir $s.passwordKey)))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (dig "profiles" "" .) .root.Values.profiles }}{{ $_ := set $add "profiles_dir" "/etc/postrider/profiles" }}{{ end -}}
{{- with .root.Values.canary.interval -}}
{{- $url := printf "http://%s-api.%s.svc:%v/canary" (include "postrider.fullname" $.root) $.root.Release.Namespace $.root.Values.service.port -}}
{{- $_ := mustMergeOverwrite $add (dict "canary" (dict "interval" . "url" $url)) -}}
{{- end -}}
{{- if .root.Values.networkPolicy.enabled -}}
{{- $denied := concat (dig "egress" "deny_networks" list $config) .root.Values.networkPolicy.clusterRanges | uniq -}}
{{- $_ := mustMergeOverwrite $add (dict "egress" (dict "deny_networks" $denied)) -}}
{{- end -}}
{{- toYaml (mustMergeOverwrite $config $add) -}}
{{- end -}}

{{/* Volumes of the secrets and profiles, of the same. */}}
{{- define "postrider.volumes" -}}
- name: config
  configMap: {name: {{ .configMap }}}
{{- if and (dig "profiles" "" .) .root.Values.profiles }}
- name: profiles
  configMap: {name: {{ .profiles }}}
{{- end }}
{{- $secrets := mustMergeOverwrite (deepCopy .root.Values.secrets) (deepCopy (dig "secrets" dict .own)) }}
{{- range $kind := .secrets }}
{{- with dig $kind "name" "" $secrets }}
- name: {{ kebabcase $kind }}
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end -}}

{{- define "postrider.volumeMounts" -}}
- {name: config, mountPath: /etc/postrider/config, readOnly: true}
{{- if and (dig "profiles" "" .) .root.Values.profiles }}
- {name: profiles, mountPath: /etc/postrider/profiles, readOnly: true}
{{- end }}
{{- $secrets := mustMergeOverwrite (deepCopy .root.Values.secrets) (deepCopy (dig "secrets" dict .own)) }}
{{- range $kind := .secrets }}
{{- if dig $kind "name" "" $secrets }}
- {name: {{ kebabcase $kind }}, mountPath: /etc/postrider/secrets/{{ $kind }}, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{/* Bytes of a quantity such as 512Mi. */}}
{{- define "postrider.bytes" -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9.]+" $text | float64 -}}
{{- $unit := regexReplaceAll "^[0-9.]+" $text "" -}}
{{- $factors := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if not (hasKey $factors $unit) }}{{ fail (printf "%s: want a quantity of memory such as 512Mi" $text) }}{{ end -}}
{{- mulf $number (index $factors $unit) | int64 -}}
{{- end -}}

{{/* Whole CPUs of a quantity such as 250m or 2. */}}
{{- define "postrider.cpus" -}}
{{- $text := toString . -}}
{{- if hasSuffix "m" $text -}}
{{- divf (trimSuffix "m" $text | float64) 1000 | ceil | int -}}
{{- else -}}
{{- float64 $text | ceil | int -}}
{{- end -}}
{{- end -}}

{{/* Seconds of a duration such as 5s, 90s, 2m or 500ms, rounded up. */}}
{{- define "postrider.seconds" -}}
{{- $total := 0.0 -}}
{{- if not (regexMatch "^([0-9.]+(h|ms|m|s))+$" .) }}{{ fail (printf "%s: want a duration such as 5s" .) }}{{ end -}}
{{- range regexFindAll "[0-9.]+(h|ms|m|s)" . -1 -}}
{{- $factor := index (dict "h" 3600 "m" 60 "s" 1 "ms" 0.001) (regexReplaceAll "^[0-9.]+" . "") -}}
{{- $total = addf $total (mulf (regexFind "^[0-9.]+" . | float64) $factor) -}}
{{- end -}}
{{- ceil $total | int -}}
{{- end -}}

{{/* GOMEMLIMIT and GOMAXPROCS of resources. A tenth of the memory is left to what Go does not count. */}}
{{- define "postrider.goEnv" -}}
{{- $memory := dig "limits" "memory" "" . }}{{ $limit := dig "limits" "cpu" "" . }}{{ $request := dig "requests" "cpu" "" . -}}
{{- with $memory }}
- {name: GOMEMLIMIT, value: {{ divf (mulf (include "postrider.bytes" . | float64) 9) 10 | int64 | toString | quote }}}
{{- end }}
{{- if $limit }}
- {name: GOMAXPROCS, value: {{ include "postrider.cpus" $limit | quote }}}
{{- else if $request }}
- {name: GOMAXPROCS, value: {{ max 2 (include "postrider.cpus" $request | int) | toString | quote }}}
{{- end }}
{{- end -}}
