#!/usr/bin/env bash
# Builds the rival of bench/run ingest into build/otelcol: an OpenTelemetry Collector with an OTLP receiver, an OTLP exporter
# and file storage. Needs go; about three minutes the first time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=0.165.0
command -v go >/dev/null || { echo "go is not installed" >&2 && exit 1; }
mkdir -p build/otelcol
cat >build/otelcol/builder.yaml <<EOF
dist: {name: otelcol, output_path: build/otelcol}
extensions:
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage v$version
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v$version
exporters:
  - gomod: go.opentelemetry.io/collector/exporter/otlpexporter v$version
EOF
GOBIN=$PWD/build/otelcol/tools go install "go.opentelemetry.io/collector/cmd/builder@v$version"
build/otelcol/tools/builder --config build/otelcol/builder.yaml
