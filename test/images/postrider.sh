#!/usr/bin/env bash
# Loads Postrider's own image into the engine, as postrider:local: what "make image" has built, which needs neither.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
go run -C deploy/image . -o "$out"
docker load --quiet --input "$out"/postrider-linux-*.tar
