#!/usr/bin/env bash
# hearth template: a model's own template and any other, with any variables.
set -u
. "$(dirname "$0")/support.bash"
llama=$data/golden/gguf/llama32-bf16.gguf

cat >"$tmp/messages.json" <<'J'
[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hé\u4f60 <b>"}]
J
rc 0 "$hearth" template "$llama" --messages "$tmp/messages.json"
has "$out" 'Be brief\.'
has "$out" 'Hé你 <b>'
prompt=$out
rc 0 "$hearth" template "$llama" --messages "$tmp/messages.json" --no-generation-prompt
[ "$out" != "$prompt" ] || fail "template: --no-generation-prompt changed nothing"
same "${prompt:0:${#out}}" "$out"
printf '{"messages": %s}' "$(cat "$tmp/messages.json")" >"$tmp/request.json"
rc 0 "$hearth" template "$llama" --messages "$tmp/request.json"
same "$out" "$prompt"

printf '%s' '{% for t in tools or [] %}{{ t.name }};{% endfor %}{{ messages|length }}{{ bos_token }}' \
    >"$tmp/t.jinja"
echo '[{"name": "f"}, {"name": "g"}]' >"$tmp/tools.json"
rc 0 "$hearth" template "$llama" --file "$tmp/t.jinja" --messages "$tmp/messages.json" \
    --tools "$tmp/tools.json"
same "$out" 'f;g;2<|begin_of_text|>'

printf '%s' 'Hi {{ name }}{% if x > 2 %}!{% endif %} {{ strftime_now("%Y-%m-%d %H:%M") }}' >"$tmp/t.jinja"
echo '{"name": "Ada", "x": 3}' >"$tmp/vars.json"
rc 0 "$hearth" template --file "$tmp/t.jinja" --context "$tmp/vars.json" --now 2026-11-24T12:34:56
same "$out" 'Hi Ada! 2026-11-24 12:34'
same "$(stat -c %s "$tmp/out")" 24
rc 0 env TZ=UTC "$hearth" template --file "$tmp/t.jinja" --context "$tmp/vars.json" \
    --now 2026-11-24T12:34:56+02:00
same "$out" 'Hi Ada! 2026-11-24 10:34'
rc 0 "$hearth" template --file "$tmp/t.jinja" --context "$tmp/vars.json" --now 2026-11-24
same "$out" 'Hi Ada! 2026-11-24 00:00'
rc 2 "$hearth" template --file "$tmp/t.jinja" --context "$tmp/vars.json" --now noon
has "$err" "^hearth: --now: 'noon', expected a time"

printf '%s' '{{ raise_exception("roles must alternate") }}' >"$tmp/t.jinja"
rc 1 "$hearth" template --file "$tmp/t.jinja" --context "$tmp/vars.json"
has "$err" 'roles must alternate$'
same "$out" ''
printf '%s' '{% if %}' >"$tmp/t.jinja"
rc 3 "$hearth" template --file "$tmp/t.jinja" --context "$tmp/vars.json"
has "$err" "^hearth: '.*t.jinja': "
rc 3 "$hearth" template --file "$tmp/t.jinja" --context "$tmp/messages.json"
has "$err" 'expected an object of variables$'
echo '{"name": ' >"$tmp/vars.json"
rc 3 "$hearth" template --file "$tmp/t.jinja" --context "$tmp/vars.json"
rc 2 "$hearth" template
rc 2 "$hearth" template "$llama"
has "$err" '^hearth: template: --messages is missing'
rc 2 "$hearth" template --file "$tmp/t.jinja"
has "$err" '^hearth: template: --context is missing'

# Go's text/template: any variables, and a conversation without a model
printf '%s' '{{ range $i, $m := .list }}{{ if $i }}, {{ end }}{{ $m }}{{ end }} {{ json .o }} {{ .gone }} {{ currentDate }}' >"$tmp/t.gotmpl"
echo '{"list": [1, "b", 2.5], "o": {"z": 1, "a": "<"}}' >"$tmp/vars.json"
rc 0 "$hearth" template --file "$tmp/t.gotmpl" --context "$tmp/vars.json" --now 2026-11-24
same "$out" '1, b, 2.5 {"a":"\u003c","z":1} <no value> 2026-11-24'
cp "$tmp/t.gotmpl" "$tmp/t.txt"
rc 0 "$hearth" template --go --file "$tmp/t.txt" --context "$tmp/vars.json" --now 2026-11-24
same "$out" '1, b, 2.5 {"a":"\u003c","z":1} <no value> 2026-11-24'
rc 3 "$hearth" template --file "$tmp/t.txt" --context "$tmp/vars.json"
printf '%s' '{{ if .System }}[{{ .System }}]{{ end }}{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}{{ len .Tools }}{{ .Think }}' >"$tmp/t.txt"
rc 0 "$hearth" template --file "$tmp/t.txt" --messages "$tmp/messages.json" --tools "$tmp/tools.json" \
    --think on
same "$out" '[Be brief.]<system>Be brief.<user>Hé你 <b>2true'
rc 0 "$hearth" template "$llama" --file "$tmp/t.txt" --messages "$tmp/messages.json"
same "$out" '[Be brief.]<system>Be brief.<user>Hé你 <b>0false'
printf '%s' '{{ index .list 7 }}' >"$tmp/t.gotmpl"
rc 3 "$hearth" template --file "$tmp/t.gotmpl" --context "$tmp/vars.json"
has "$err" "^hearth: '.*t.gotmpl': template line 1: index out of range: 7$"
printf '%s' 'x {{ if }}' >"$tmp/t.gotmpl"
rc 3 "$hearth" template --file "$tmp/t.gotmpl" --context "$tmp/vars.json"
has "$err" "missing value for if$"
rc 1 "$hearth" template --file "$tmp/none.jinja" --context "$tmp/vars.json"
finish
