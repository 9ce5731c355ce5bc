#!/usr/bin/env bash
# The throughput of `restway sync` beside curl fetching the same pages one after the other.
#
# 100,000 nested orders in token pages of 1,000, static files behind nginx on loopback, server and
# client each on a core of its own where there are two. Prints the median of some runs of each, and
# their ratio. PROFILE chooses the build: release (the default), or dist; RESTWAY names a binary that
# is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

PROFILE=${PROFILE:-release}
RUNS=${RUNS:-5}
ORDERS=${ORDERS:-100000}
command -v nginx > /dev/null || { echo "nginx is needed: apt-get install nginx-light" >&2; exit 2; }

if [ -z "${RESTWAY:-}" ]; then
    cargo build --quiet --profile "$PROFILE" --bin restway
    RESTWAY=${CARGO_TARGET_DIR:-target}/$PROFILE/restway
fi
restway=$(realpath "$RESTWAY")

work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$work"' EXIT
python3 bench/orders.py "$work/pages" "$ORDERS" 1000

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$work/nginx.conf" <<CONF
daemon off; worker_processes 1; pid $work/nginx.pid; error_log $work/error.log;
events {}
http {
  access_log off; default_type application/json; sendfile on;
  client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f;
  uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server {
    listen 127.0.0.1:$port; root $work/pages;
    location = /orders { try_files /orders-\$arg_pageToken.json =404; }
  }
}
CONF
chmod -R a+rX "$work"
pin_server=""; pin_client=""
if command -v taskset > /dev/null && [ "$(nproc)" -ge 2 ]; then
    pin_server="taskset -c 0"; pin_client="taskset -c 1"
fi
[ "${PIN:-yes}" = yes ] || { pin_server=""; pin_client=""; }
$pin_server nginx -c "$work/nginx.conf" -p "$work" &
server=$!
until curl -sf -o /dev/null "http://127.0.0.1:$port/orders"; do :; done

mkdir -p "$work/ws/apis"
echo "workspace: bench" > "$work/ws/restway.yaml"
cat > "$work/ws/apis/shop.yaml" <<YAML
api: shop
base_url: http://127.0.0.1:$port
resources:
  orders: { path: /orders, records: data, paginate: { type: token, next: nextPageToken, param: pageToken } }
YAML

# Each run prints its seconds; the answer is the middle one.
median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
seconds() { local TIMEFORMAT=%R; { time "$@" > "$work/out" 2>&1; } 2>&1; }

walk() {
    local token=
    while :; do
        $pin_client curl -s "http://127.0.0.1:$port/orders?pageToken=$token" -o "$work/page.json"
        token=$(tail -c 40 "$work/page.json" | sed -n 's/.*"nextPageToken": *"\([^"]*\)".*/\1/p')
        [ -n "$token" ] || break
    done
}
# One curl with all pages on one connection: what fetching costs without a process a page.
urls() { for f in "$work"/pages/orders-*.json; do t=${f##*orders-}; echo "url=http://127.0.0.1:$port/orders?pageToken=${t%.json}"; echo "output=/dev/null"; done; }
urls > "$work/urls"

curl_walk=$(for _ in $(seq "$RUNS"); do seconds walk; done | median)
curl_one=$(for _ in $(seq "$RUNS"); do seconds $pin_client curl -s -K "$work/urls"; done | median)
sync=$(for _ in $(seq "$RUNS"); do rm -rf "$work/ws/.restway"; seconds $pin_client "$restway" -C "$work/ws" sync; done | median)
memory=$(rm -rf "$work/ws/.restway"; python3 - "$restway" "$work/ws" <<'PY'
import resource, subprocess, sys
subprocess.run([sys.argv[1], "-C", sys.argv[2], "sync"], check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
PY
)
"$restway" -C "$work/ws" query --format csv 'select count(*) as orders, count(distinct id) as ids from shop.orders'
mb=$(du -sb "$work/pages" | awk '{ print $1 / 1e6 }')
awk -v s="$sync" -v c="$curl_walk" -v k="$curl_one" -v n="$ORDERS" -v m="$mb" -v r="$memory" 'BEGIN {
    printf "restway sync            %6.2f s  %8.0f orders/s  %6.1f MB/s of JSON  %d MiB at most\n", s, n / s, m / s, r
    printf "curl, a process a page  %6.2f s  sync takes %.1f times as long\n", c, s / c
    printf "curl, one connection    %6.2f s  sync takes %.1f times as long\n", k, s / k
}'
