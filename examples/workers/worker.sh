#!/usr/bin/env bash
# A worker in bash and curl: ./worker.sh STUDY; it goes on until the study has no more runs. Answers are JSON on one line,
# from which `field` takes a value by its name; where a name may occur twice, take jq.
set -euo pipefail
api="${ASSAY_URL:-http://127.0.0.1:8080}/api/v1"

call() { # METHOD PATH BODY
  curl -sS --retry 10 --retry-connrefused -X "$1" "$api/$2" -H 'Content-Type: application/json' \
    ${ASSAY_TOKEN:+-H "Authorization: Bearer $ASSAY_TOKEN"} -d "$3"
}
field() { sed -nE "s/.*\"$1\":\"?([^,\"}]*).*/\1/p" <<<"$2"; }

while true; do
  claim=$(call POST "studies/$1/claims" "{\"worker\": \"bash-$HOSTNAME-$$\", \"lease_seconds\": 30}")
  id=$(field id "$claim") token=$(field token "$claim")
  if [[ -z $id ]]; then
    pause=$(field retry_after "$claim")
    [[ -n $pause ]] || { echo "$claim" >&2; exit 1; } # no study, or none for workers
    [[ $pause != null ]] || exit 0                    # there will never be more
    sleep "$pause"; continue
  fi
  for ((epoch = 1; epoch <= $(field value "$claim"); epoch++)); do
    loss=$(awk "BEGIN { print ($(field x "$claim") - 1) ^ 2 + ($(field y "$claim") + 2) ^ 2 + 1 / $epoch }")
    report="{\"step\": $epoch, \"metrics\": {\"loss\": $loss}}"
    heard=$(call POST "runs/$id/reports" "{\"token\": \"$token\", \"reports\": [$report]}")
    case $heard in *'"answer":"stop"'* | *'"status": 409'*) break ;; esac
  done
  call POST "runs/$id/complete" "{\"token\": \"$token\"}" >/dev/null # with the metrics of the last report
done
