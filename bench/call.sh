#!/usr/bin/env bash
# The cost of one call through the connector beside the bare HTTP library below it, with 64 calls
# under way at once to a static file behind nginx on loopback; and the most memory that one large
# body needs, down and up.
#
# Server and client have a core each where there are two. Prints the median of some runs of each
# and their ratios; `wrk`, where it is installed, shows what the server can do.
set -euo pipefail
cd "$(dirname "$0")/.."

RUNS=${RUNS:-5}
COUNT=${COUNT:-100000}
AT_ONCE=${AT_ONCE:-64}
GIGABYTES=${GIGABYTES:-2}
command -v nginx > /dev/null || { echo "nginx is needed: apt-get install nginx-light" >&2; exit 2; }
if [ -z "${LOAD:-}" ]; then
    cargo build --quiet --release --package restway-connect --example load
    LOAD=${CARGO_TARGET_DIR:-target}/release/examples/load
fi
load=$(realpath "$LOAD")

work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$work"' EXIT
mkdir -p "$work/www" "$work/up"
python3 -c 'import json; print(json.dumps({"data": [{"id": n, "name": f"order {n}"} for n in range(20)]}))' \
    > "$work/www/page.json"
truncate -s "${GIGABYTES}G" "$work/www/large.bin"
ln "$work/www/large.bin" "$work/up/large.bin"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$work/nginx.conf" <<CONF
daemon off; worker_processes 1; pid $work/nginx.pid; error_log $work/error.log;
events { worker_connections 1024; }
http {
  log_format bytes '\$request_method \$status \$request_length \$body_bytes_sent';
  access_log off; default_type application/json; sendfile on;
  keepalive_requests 1000000; client_max_body_size 0;
  client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f;
  uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server {
    listen 127.0.0.1:$port; root $work/www;
    location = /large.bin { access_log $work/bytes.log bytes; }
    location = /sink { access_log $work/bytes.log bytes; proxy_pass http://127.0.0.1:$port/gone; }
    location = /gone { return 204; }
  }
}
CONF
chmod -R a+rwX "$work"
pin_server=""; pin_client=""
if command -v taskset > /dev/null && [ "$(nproc)" -ge 2 ]; then
    pin_server="taskset -c 0"; pin_client="taskset -c 1"
fi
$pin_server nginx -c "$work/nginx.conf" -p "$work" &
server=$!
url=http://127.0.0.1:$port
until curl -sf -o /dev/null "$url/page.json"; do :; done

# Columns: seconds, requests per second, microseconds per request, mebibytes.
columns() { awk '{ print $1, $3, $5, $7 }'; }
median() { sort -n | awk '{ a[NR] = $0 } END { print a[int((NR + 1) / 2)] }'; }
for kind in bare restway; do : > "$work/$kind"; done
for _ in $(seq "$RUNS"); do
    for kind in bare restway; do
        $pin_client "$load" $kind "$url/page.json" "$COUNT" "$AT_ONCE" | columns >> "$work/$kind"
    done
done
read -r bare_s bare_rate bare_cpu bare_memory < <(median < "$work/bare")
read -r own_s own_rate own_cpu own_memory < <(median < "$work/restway")
printf 'bare     %8s requests/s %6s us of processor each %4s MiB\n' "$bare_rate" "$bare_cpu" "$bare_memory"
printf 'restway  %8s requests/s %6s us of processor each %4s MiB\n' "$own_rate" "$own_cpu" "$own_memory"
awk -v a="$own_s" -v b="$bare_s" -v c="$own_cpu" -v d="$bare_cpu" \
    'BEGIN { printf "restway takes %.2f times as long and %.2f times the processor\n", a / b, c / d }'
if command -v wrk > /dev/null; then
    $pin_client wrk -t 1 -c "$AT_ONCE" -d 5s "$url/page.json" | grep Requests/sec
fi
printf 'download of %s GB: %s\n' "$GIGABYTES" "$("$load" download "$url/large.bin" "$work/got.bin")"
printf 'upload of %s GB:   %s\n' "$GIGABYTES" "$("$load" upload "$url/sink" "$work/up/large.bin")"
# What the server counted: a client that sends or reads half of it is no faster.
until [ "$(wc -l < "$work/bytes.log")" -ge 2 ]; do :; done
awk -v least=$((GIGABYTES << 30)) '
    { moved = $1 == "GET" ? $4 : $3; short += moved < least; print "the server counted", moved, "bytes of", $1 }
    END { exit short > 0 }' "$work/bytes.log"
