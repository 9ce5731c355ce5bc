"""Times `restway sync` beside its peers on the same bytes, and checks what each of them landed.

Usage: run.py --restway BINARY [--runs N] [--only NAME,…] [--python VENV/bin/python] [--cache FOLDER]

nginx serves the files on one core and the client has another, where there are two; `--unpinned`
leaves both to the system. Each figure is the median of the runs, and counts only if the counts and
sums of what landed are right: otherwise the line says WRONG and the exit code is 1. Data is made
once and kept in the cache folder.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import data

HERE = pathlib.Path(__file__).parent
TOKEN = "paginate: { type: token, next: nextPageToken, param: pageToken }"
wrong = []


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def cached(cache, name, make):
    """The folder `name` of the cache and what it must land as; made by `make(folder)` if absent."""
    folder = cache / name
    expected = folder / "expected.json"
    if not expected.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"making {name}", file=sys.stderr)
        expected.write_text(json.dumps(make(folder)))
    return folder, json.loads(expected.read_text())


class Bench:
    def __init__(self, options):
        self.options = options
        self.restway = pathlib.Path(options.restway).resolve()
        self.cache = pathlib.Path(options.cache).expanduser()
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="restway-bench-"))
        self.started = []
        two = len(os.sched_getaffinity(0)) >= 2 and not options.unpinned
        self.pin_server = ["taskset", "-c", "0"] if two else []
        self.pin_client = ["taskset", "-c", "1"] if two else []

    def end(self):
        for process in self.started:
            process.terminate()
            process.wait(10)
        shutil.rmtree(self.work, ignore_errors=True)

    def start(self, command, port):
        self.started.append(subprocess.Popen(self.pin_server + command))
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return port
            except OSError:
                time.sleep(0.02)
        raise SystemExit(f"{command[0]} did not start")

    def nginx(self, folder):
        """Serves `KIND-TOKEN.json` of a folder as `/KIND?pageToken=TOKEN`."""
        port, work = free_port(), self.work / f"nginx{len(self.started)}"
        work.mkdir()
        (work / "nginx.conf").write_text(f"""
            daemon off; worker_processes 1; pid {work}/pid; error_log {work}/error.log;
            user root; events {{}}
            http {{
                access_log off; default_type application/json; sendfile on;
                keepalive_requests 1000000;
                client_body_temp_path {work}/b; proxy_temp_path {work}/p;
                fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
                server {{
                    listen 127.0.0.1:{port}; root {folder};
                    location ~ ^/([a-z]+)$ {{ try_files /$1-$arg_pageToken.json =404; }}
                }}
            }}""")
        return self.start(["nginx", "-c", f"{work}/nginx.conf", "-p", str(work)], port)

    def paced(self):
        port = free_port()
        return self.start([sys.executable, str(HERE / "paced.py"), str(port)], port)

    def workspace(self, port, body):
        """A fresh workspace with one api, `shop`."""
        folder = self.work / "ws"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "apis").mkdir(parents=True)
        (folder / "restway.yaml").write_text("workspace: bench\n")
        api = f"api: shop\nbase_url: http://127.0.0.1:{port}\n{body}"
        (folder / "apis" / "shop.yaml").write_text(api)
        return folder

    def measure(self, command):
        """Runs a command to its end: seconds, processor seconds, peak MiB."""
        began = time.monotonic()
        out = open(self.work / "out", "w+")
        child = subprocess.Popen(self.pin_client + command, stdout=out, stderr=out)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - began
        if status != 0:
            out.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))} failed:\n{out.read()[-2000:]}")
        return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024

    def sync(self, folder, fresh=True):
        if fresh:
            shutil.rmtree(folder / ".restway", ignore_errors=True)
        return self.measure([str(self.restway), "-C", str(folder), "sync"])

    def query(self, folder, sql):
        command = [str(self.restway), "-C", str(folder), "query", "--format", "json", sql]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]

    def runs(self, work, runs=None):
        """The median of each figure over some runs of `work`."""
        every = [work() for _ in range(runs or self.options.runs)]
        return tuple(statistics.median(column) for column in zip(*every))


def line(name, figures, records=None, size=None, beside=None):
    seconds, cpu, memory = figures
    parts = [f"{name:<34} {seconds:8.2f} s  cpu {cpu:7.2f} s  {memory:6.0f} MiB"]
    if records:
        parts.append(f"{records / seconds:10,.0f} rows/s")
    if size:
        parts.append(f"{size / 1e6 / seconds:7.1f} MB/s")
    if beside:
        parts.append(f"{seconds / beside:6.1f} x")
    print("  ".join(parts), flush=True)


def check(name, told, expected):
    compared = {key: value for key, value in told.items() if expected.get(key) != value}
    if compared:
        wrong.append(name)
        print(f"WRONG: {name} landed {told}, and should have {expected}")


def landed(bench, folder, kind):
    told = bench.query(folder, f"select count(*) as records, sum(id) as ids from shop.{kind}")
    if kind == "orders":
        cents = "select sum(cast(round(total * 100) as bigint)) as cents from shop.orders"
        told |= bench.query(folder, cents)
        told |= bench.query(folder, "select count(*) as lines from shop.orders__lines")
        told |= bench.query(folder, "select count(*) as tags from shop.orders__tags")
    return {key: int(value) for key, value in told.items()}


def pages(bench, kind, records, peers):
    """Token pages of 1,000 records from nginx, into tables."""
    def make(folder):
        return data.write_pages(folder, kind, records, 1000)

    folder, expected = cached(bench.cache, f"{kind}-{records}", make)
    port = bench.nginx(folder)
    size = expected["bytes"]
    print(f"\n{records:,} {kind}, {size / 1e6:.1f} MB of JSON in pages of 1,000")
    workspace = bench.workspace(port, f"resources:\n  {kind}: {{ path: /{kind}, records: data, {TOKEN} }}\n")
    runs = 1 if records > 500_000 and kind == "orders" else None
    figures = bench.runs(lambda: bench.sync(workspace), runs)
    check("restway", landed(bench, workspace, kind), expected)
    line("restway sync", figures, records, size)
    for peer in peers:
        out = bench.work / peer
        source = str(folder) if peer == "duckdb" else f"http://127.0.0.1:{port}"

        def work():
            shutil.rmtree(out, ignore_errors=True)
            return bench.measure([bench.options.python, str(HERE / "peers.py"), peer, source, kind, str(out)])

        slow = work()
        theirs = slow if slow[0] > 20 else bench.runs(work)
        count = [bench.options.python, str(HERE / "peers.py"), "count", peer, kind, str(out)]
        told = json.loads(subprocess.run(count, check=True, capture_output=True).stdout)
        check(peer, told, expected)
        line(peer, theirs, records, size, figures[0])
    urls = bench.work / "urls"
    files = sorted(folder.glob(f"{kind}-*.json"))
    urls.write_text("".join(
        f"url=http://127.0.0.1:{port}/{kind}?pageToken={file.stem.partition('-')[2]}\noutput=/dev/null\n"
        for file in files))
    line("curl, one connection", bench.runs(lambda: bench.measure(["curl", "-s", "-K", str(urls)])), records, size, figures[0])


def nested(bench):
    pages(bench, "orders", 100_000, bench.options.peers.split(",") if bench.options.python else [])


def million(bench):
    pages(bench, "orders", 1_000_000, [])


def flat(bench):
    pages(bench, "measurements", 1_000_000, bench.options.peers.split(",") if bench.options.python else [])


def document(bench):
    """One JSON document of a gigabyte."""
    def make(folder):
        return data.write_document(folder / "orders-.json", 1.0)

    folder, expected = cached(bench.cache, "document", make)
    port = bench.nginx(folder)
    print(f"\none JSON document of {expected['bytes'] / 1e6:.0f} MB, {expected['records']:,} records")
    workspace = bench.workspace(port, "resources:\n  orders: { path: /orders, records: data }\n")
    figures = bench.runs(lambda: bench.sync(workspace), 1)
    told = bench.query(workspace, "select count(*) as records, sum(id) as ids from shop.orders")
    check("document", {key: int(value) for key, value in told.items()}, expected)
    line("restway sync", figures, expected["records"], expected["bytes"])


def stats(port, path="stats"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
        return json.load(answer)


def waiting(bench):
    """Answers that take time: pages with a known total, and children of parents, eight at once."""
    port = bench.paced()
    limits = "limits: { concurrency: 8 }\n"
    numbered = "paginate: { type: page, total_pages: total_pages }"
    print("\n2,000 pages of 50 ms with a known total, concurrency 8: 12.5 s at best")
    workspace = bench.workspace(port, f"{limits}resources:\n  pages: {{ path: /pages, records: data, {numbered} }}\n")
    stats(port)
    figures = bench.runs(lambda: bench.sync(workspace), 1)
    seen = stats(port)
    told = bench.query(workspace, "select count(*) as records, sum(id) as ids from shop.pages")
    check("pages", told, {"records": 200_000, "ids": 200_000 * 200_001 // 2})
    line("restway sync", figures, 200_000)
    print(f"{seen['requests']} requests, {seen['at_once']} at once, {figures[0] / 12.5:.2f} of the best time")
    print("\n5,000 parents with a child page of 30 ms each, concurrency 8: 18.8 s at best")
    children = "for_each: parents, path: \"/parents/${parent.id}/children\", records: data"
    workspace = bench.workspace(port, f"""{limits}resources:
  parents: {{ path: /parents, records: data, {numbered} }}
  children: {{ {children} }}
""")
    figures = bench.runs(lambda: bench.sync(workspace), 1)
    seen = stats(port)
    told = bench.query(workspace, "select count(*) as records from shop.children")
    check("children", told, {"records": 50_000})
    line("restway sync", figures, 50_000)
    print(f"{seen['requests']} requests, {seen['at_once']} at once, {figures[0] / 18.75:.2f} of the best time")


def rationed(bench):
    """An api that allows 50 requests in any second."""
    port = bench.paced()
    numbered = "paginate: { type: page, total_pages: total_pages }"
    print("\n1,000 pages from an api that allows 50 requests in any second: 20 s at best")
    workspace = bench.workspace(port, f"limits: {{ rate: [50/s], concurrency: 8 }}\nresources:\n  rationed: {{ path: /rationed, records: data, {numbered} }}\n")
    stats(port)
    figures = bench.runs(lambda: bench.sync(workspace), 1)
    seen = stats(port)
    told = bench.query(workspace, "select count(*) as records from shop.rationed")
    check("rationed", told, {"records": 10_000})
    line("restway sync", figures, 10_000)
    refused = seen.get("rejected", 0)
    print(f"{seen['requests']} requests, {refused} refused ({refused / seen['requests']:.1%}), "
          f"{1000 / figures[0] / 50:.1%} of the rate that is allowed")


def unchanged(bench):
    """A sync of what changed, when nothing did."""
    port = bench.paced()
    numbered = "paginate: { type: page, total_pages: total_pages }"
    cursor = "load: append, incremental: { cursor: id, send: { query: since, as: int }, start: 1 }"
    print("\n100,000 records by cursor, then the same again")
    workspace = bench.workspace(port, f"resources:\n  changes: {{ path: /changes, records: data, {numbered}, {cursor} }}\n")
    stats(port)
    first = bench.sync(workspace)
    requests = stats(port)["requests"]
    line("first sync", first, 100_000)
    figures = bench.runs(lambda: bench.sync(workspace, fresh=False))
    again = stats(port)["requests"] / bench.options.runs
    told = bench.query(workspace, "select count(*) as records, sum(id) as ids from shop.changes")
    check("changes", told, {"records": 100_000, "ids": 100_000 * 100_001 // 2})
    line("the same again", figures)
    print(f"{requests} requests, then {again:.0f}")


def killed(bench):
    """A sync that is killed at 60 % of its pages, and run again."""
    port = bench.paced()
    numbered = "paginate: { type: page, total_pages: total_pages }"
    print("\n2,000 pages of 50 ms, killed (SIGKILL) after 1,200 requests, checkpoints of 100 pages")
    workspace = bench.workspace(port, f"""limits: {{ concurrency: 8 }}
resources:
  pages: {{ path: /pages, records: data, load: append, checkpoint: {{ pages: 100 }}, {numbered} }}
""")
    stats(port)
    out = open(bench.work / "killed", "w")
    command = [str(bench.restway), "-C", str(workspace), "sync"]
    child = subprocess.Popen(bench.pin_client + command, stdout=out, stderr=out)
    while stats(port, "seen")["requests"] < 1200 and child.poll() is None:
        time.sleep(0.02)
    child.kill()
    child.wait()
    before = stats(port)["requests"]
    figures = bench.sync(workspace, fresh=False)
    after = stats(port)["requests"]
    told = bench.query(workspace, "select count(*) as records, count(distinct id) as ids from shop.pages")
    check("killed", told, {"records": 200_000, "ids": 200_000})
    line("the second run", figures)
    print(f"{before} requests, then {after}: {before + after - 2000} pages fetched again")


SCENARIOS = {one.__name__: one for one in (
    nested, million, flat, document, waiting, rationed, unchanged, killed)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--restway", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default=",".join(SCENARIOS))
    parser.add_argument("--python", help="the Python that has the peers; none of them without it")
    parser.add_argument("--peers", default="dlt,script,duckdb")
    parser.add_argument("--cache", default="~/.cache/restway/bench/data")
    parser.add_argument("--unpinned", action="store_true")
    options = parser.parse_args()
    bench = Bench(options)
    try:
        for name in options.only.split(","):
            SCENARIOS[name](bench)
    finally:
        bench.end()
    if wrong:
        raise SystemExit(f"wrong: {', '.join(wrong)}")


main()
