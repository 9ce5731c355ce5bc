#!/usr/bin/env bash
# Builds, installs the peers once, and runs all benchmarks: what run.py says. Arguments go to it.
# PROFILE chooses the build: release (the default), or dist; RESTWAY names a binary that is there.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v nginx > /dev/null || { echo "nginx is needed: apt-get install nginx-light" >&2; exit 2; }
PROFILE=${PROFILE:-release}
if [ -z "${RESTWAY:-}" ]; then
    cargo build --profile "$PROFILE" --bin restway
    RESTWAY=${CARGO_TARGET_DIR:-target}/$PROFILE/restway
fi

cache=${BENCH_CACHE:-$HOME/.cache/restway/bench}
peers="dlt[duckdb,parquet]==1.31.0 duckdb==2.0.0 requests==2.34.2 pyarrow==26.0.1 orjson==3.13.0"
if [ "$(cat "$cache/peers" 2> /dev/null)" != "$peers" ]; then
    rm -rf "$cache/venv"
    mkdir -p "$cache"
    python3 -m venv "$cache/venv"
    # shellcheck disable=SC2086 # the versions are words
    "$cache/venv/bin/pip" install --quiet --disable-pip-version-check $peers
    echo "$peers" > "$cache/peers"
fi
exec python3 bench/run.py --restway "$RESTWAY" --python "$cache/venv/bin/python" --cache "$cache/data" "$@"
