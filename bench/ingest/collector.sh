#!/usr/bin/env bash
# Builds the rival of bench/run ingest, which is a client in tests too, into ~/.cache/opsd-bench/otelcol: an OpenTelemetry Collector with an OTLP receiver, an OTLP exporter
# and file storage. Needs go; about three minutes the first time.
set -euo pipefail
version=0.165.0
command -v go >/dev/null || { echo "go is not installed" >&2 && exit 1; }
out=${XDG_CACHE_HOME:-$HOME/.cache}/opsd-bench/otelcol
[ ! -x "$out/otelcol" ] || exit 0
mkdir -p "$out" && cd "$out"
cat >builder.yaml <<EOF
dist: {name: otelcol, output_path: $out}
extensions:
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage v$version
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v$version
exporters:
  - gomod: go.opentelemetry.io/collector/exporter/otlpexporter v$version
EOF
GOBIN=$out/tools go install "go.opentelemetry.io/collector/cmd/builder@v$version"
tools/builder --config builder.yaml
