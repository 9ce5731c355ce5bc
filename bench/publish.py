"""Published tables beside other servers: requests per second, and the processor's time for each.

One table of items with an index on (category, price, id), the same rows everywhere. Each server
has one core, wrk with 16 connections the other. What a server answers is looked at once before it
is timed: a figure counts only for the right rows.
"""

import argparse
import csv
import json
import os
import pathlib
import random
import re
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).parent
PG = next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
CATEGORIES = 50
COLUMNS = ["id", "name", "category", "price", "stock", "created"]
CREATE = """create table items (id integer primary key, name text not null, category text not null,
    price integer not null, stock integer, created text not null)"""
NEW = '{"name": "new", "category": "new", "price": 1, "created": "2026-01-01T00:00:00Z"}'
INDEX = "create index items_list on items (category, price, id)"


def rows(count):
    dice = random.Random(7)
    for id in range(1, count + 1):
        stock = None if id % 11 == 0 else dice.randrange(1000)
        created = f"2026-{1 + id % 12:02}-{1 + id % 28:02}T10:00:00Z"
        yield id, f"item {id} \"{dice.randrange(10**6)}\"", f"c{id % CATEGORIES}", dice.randrange(10**5), stock, created


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ticks(pid):
    """Processor seconds of a process and all its children, those that ended too."""
    total = 0.0
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
        children = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
        for child in " ".join(one.read_text() for one in children).split():
            total += ticks(child)
    except OSError:
        return 0.0
    fields = text.rsplit(")", 1)[1].split()
    return total + sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def memory(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text).group(1)) // 1024


class Bench:
    def __init__(self, options):
        self.options = options
        self.cache = pathlib.Path(options.cache).expanduser()
        self.cache.mkdir(parents=True, exist_ok=True)
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="restway-bench-"))
        os.chmod(self.work, 0o755)
        self.started = []
        two = len(os.sched_getaffinity(0)) >= 2
        self.pin_server = ["taskset", "-c", "0"] if two else []
        self.pin_client = ["taskset", "-c", "1"] if two else []
        self.figures = {}

    def end(self):
        for process in self.started:
            process.terminate()
        for process in self.started:
            process.wait(20)
        shutil.rmtree(self.work, ignore_errors=True)

    def start(self, command, port, **more):
        log = open(self.work / f"log{len(self.started)}", "w")
        process = subprocess.Popen(
            self.pin_server + [str(word) for word in command], stdout=log, stderr=log, **more)
        self.started.append(process)
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return process
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{command[0]} did not start: {pathlib.Path(log.name).read_text()[-2000:]}")

    def stop(self, process):
        process.terminate()
        process.wait(20)
        self.started.remove(process)

    def wrk(self, url, script=""):
        """Requests per second, and how many were sent; the first error ends it all."""
        lua = self.work / "load.lua"
        lua.write_text("math.randomseed(7)\n" + script + """
            function done(summary, latency, requests)
                local e = summary.errors
                io.write(string.format("SENT %d BAD %d P99 %d\\n", summary.requests,
                    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(99)))
            end""")
        seconds = self.options.seconds
        command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "-s", str(lua), url]
        out = subprocess.run(self.pin_client + command, check=True, capture_output=True, text=True).stdout
        sent, bad, p99 = map(int, re.search(r"SENT (\d+) BAD (\d+) P99 (\d+)", out).groups())
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
        if bad:
            print(f"  {bad} of {sent} were not answered well: {url}", file=sys.stderr)
        return rate, sent, bad, p99 / 1000

    def measure(self, case, server, process, url, script="", is_right=None):
        """Times a case; `is_right` looks at one answer first."""
        if is_right is not None:
            headers = getattr(self, "headers", {})
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                found = is_right(json.load(answer))
                if not found:
                    raise SystemExit(f"{server} answered {case} wrongly: {url}")
        every = []
        for _ in range(self.options.runs):
            began = ticks(process.pid)
            rate, sent, bad, p99 = self.wrk(url, script)
            cpu = (ticks(process.pid) - began) / sent * 1e6
            every.append((rate, cpu, p99, bad))
        rate, cpu, p99, bad = (statistics.median(column) for column in zip(*every))
        self.figures[case, server] = rate
        note = f"   {bad:.0f} FAILED" if bad else ""
        print(f"{case:28} {server:22} {rate:10,.0f} /s {cpu:8.1f} us of cpu  p99 {p99:7.2f} ms"
              f"  {memory(process.pid):5} MiB{note}", flush=True)


def json_list(key):
    return lambda body: len(body[key] if key else body) == 25


# --- data ------------------------------------------------------------------------------------

def sqlite(path, count):
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("pragma journal_mode=wal")
        database.execute(CREATE)
        database.executemany("insert into items values (?,?,?,?,?,?)", rows(count))
        database.execute(INDEX)
        database.execute("analyze")
    database.close()


def postgres(bench, count):
    """A server of our own with the rows; its URL."""
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    data, port = bench.work / "pg", free_port()
    data.mkdir()
    if as_user:
        shutil.chown(data, "postgres", "postgres")
    subprocess.run(as_user + [str(PG / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust", "--no-sync",
                              "--encoding=UTF8", "--locale=C"], check=True, capture_output=True)
    bench.postgres = bench.start(
        as_user + [PG / "postgres", "-D", data, "-p", port, "-k", data, "-c", "listen_addresses=127.0.0.1",
                   "-c", "shared_buffers=256MB", "-c", "synchronous_commit=off"], port)
    url = f"postgres://bench@127.0.0.1:{port}/postgres"
    table = bench.work / "items.csv"
    with open(table, "w", newline="") as file:
        csv.writer(file).writerows(rows(count))
    script = f"{CREATE};\n\\copy items from '{table}' csv\n{INDEX};\nvacuum analyze items;\n"
    until = time.monotonic() + 30
    while subprocess.run([PG / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode:
        if time.monotonic() > until:
            raise SystemExit("PostgreSQL did not start")
        time.sleep(0.05)
    subprocess.run([PG / "psql", "-q", "-v", "ON_ERROR_STOP=1", url], input=script, text=True, check=True)
    return url


# --- cases -----------------------------------------------------------------------------------

def by_key(prefix, suffix="", count=0):
    return f"""request = function()
        return wrk.format("GET", "{prefix}" .. math.random(1, {count}) .. "{suffix}") end"""


def by_category(path):
    """`%s` of a path is a category."""
    before, after = path.split("%s")
    return f"""request = function()
        return wrk.format("GET", "{before}c" .. math.random(0, {CATEGORIES - 1}) .. "{after}") end"""


def post(path, body, headers=""):
    return f"""wrk.headers["Content-Type"] = "application/json" {headers}
    request = function() return wrk.format("POST", "{path}", nil, '{body}') end"""


APP = """app: bench
sources: {{ db: {source} }}
access: {{ anonymous: {{ items: [filter, insert, export] }} }}
objects: {{ items: {{ from: db.items }} }}
"""


def restway(bench, label, source, count, variables=None):
    folder, port = bench.work / f"ws-{label.replace(' ', '-')}", free_port()
    (folder / "apps").mkdir(parents=True)
    (folder / "restway.yaml").write_text("workspace: bench\n")
    (folder / "apps" / "bench.yaml").write_text(APP.format(source=source))
    server = bench.start([bench.options.restway, "-C", folder, "serve", "--listen", f"127.0.0.1:{port}"], port,
                         env={**os.environ, **(variables or {})})
    base = f"http://127.0.0.1:{port}"
    path = "/rest/v1/bench/items"
    bench.measure("item by key", label, server, f"{base}{path}/7", by_key(f"{path}/", count=count),
                  lambda body: body["item"]["id"] == 7)
    bench.measure("list of 25", label, server, f"{base}{path}?$limit=25", is_right=json_list("items"))
    query = f"{path}?category=%s&price[gte]=1000&$sort=price,id&$limit=25"
    bench.measure("filtered and sorted list", label, server, base + query.replace("%s", "c7"),
                  by_category(query), json_list("items"))
    deep = keyset(base, path, bench.options.deep)
    bench.measure(f"keyset page {bench.options.deep:,}", label, server, base + deep, is_right=json_list("items"))
    if "sqlite" in label:
        bench.measure("insert", label, server, base + path, post(path, NEW))
    bench.stop(server)


def keyset(base, path, pages):
    """The address of a page far behind the first, by its token."""
    query = f"{path}?$limit=100&$fields=id"
    url = f"{query}&$after="
    # A walk by pages of 100 passes as many rows as `pages` of 25 in a quarter of the requests.
    for _ in range(pages // 4):
        with urllib.request.urlopen(base + url) as answer:
            token = json.load(answer)["next"]
        url = f"{query}&$after={urllib.parse.quote(token)}"
    return f"{path}?$limit=25&$after={urllib.parse.quote(token)}"


def datasette(bench, database, count):
    port = free_port()
    server = bench.start([bench.bin / "datasette", "serve", "-h", "127.0.0.1", "-p", port, database], port)
    base, name = f"http://127.0.0.1:{port}", pathlib.Path(database).stem
    one = f"/{name}/items/"
    bench.measure("item by key", "Datasette", server, f"{base}{one}7.json?_shape=array",
                  by_key(one, ".json?_shape=array", count), lambda body: body[0]["id"] == 7)
    listed = f"/{name}/items.json?_size=25&_shape=array&_nocount=1&_nofacet=1"
    bench.measure("list of 25", "Datasette", server, base + listed, is_right=json_list(None))
    query = listed + "&category=%s&price__gte=1000&_sort=price"
    bench.measure("filtered and sorted list", "Datasette", server, base + query.replace("%s", "c7"),
                  by_category(query), json_list(None))
    bench.stop(server)


def pocketbase(bench, count):
    """Its own SQLite, with the rows put in by its own schema."""
    folder, port = bench.work / "pocketbase", free_port()
    program = bench.bin / "pocketbase"
    subprocess.run([program, "superuser", "upsert", "a@b.example", "a-password-of-12", "--dir", folder],
                   check=True, capture_output=True)
    server = bench.start([program, "serve", "--http", f"127.0.0.1:{port}", "--dir", folder], port)
    base = f"http://127.0.0.1:{port}/api/collections"

    def ask(path, body, token=None):
        headers = {"Content-Type": "application/json", **({"Authorization": token} if token else {})}
        request = urllib.request.Request(base + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    token = ask("/_superusers/auth-with-password", {"identity": "a@b.example", "password": "a-password-of-12"})["token"]
    fields = [{"name": "name", "type": "text"}, {"name": "category", "type": "text"},
              {"name": "price", "type": "number"}, {"name": "stock", "type": "number"},
              {"name": "created", "type": "text"}]
    ask("", {"name": "items", "type": "base", "fields": fields, "listRule": "", "viewRule": "", "createRule": "",
             "indexes": ["create index items_list on items (category, price, id)"]}, token)
    bench.stop(server)
    with sqlite3.connect(folder / "data.db") as database:
        database.executemany(
            "insert into items (id, name, category, price, stock, created) values (?,?,?,?,?,?)",
            ((f"{id:015}", name, category, price, stock or 0, created)
             for id, name, category, price, stock, created in rows(count)))
        database.execute("analyze")
    database.close()
    server = bench.start([program, "serve", "--http", f"127.0.0.1:{port}", "--dir", folder], port)
    path = "/api/collections/items/records"
    script = f"""request = function()
        return wrk.format("GET", string.format("{path}/%015d", math.random(1, {count}))) end"""
    root = f"http://127.0.0.1:{port}"
    bench.measure("item by key", "PocketBase", server, f"{root}{path}/{7:015}", script,
                  lambda body: body["id"] == f"{7:015}")
    listed = f"{path}?perPage=25&skipTotal=1"
    bench.measure("list of 25", "PocketBase", server, root + listed, is_right=json_list("items"))
    query = listed + "&sort=price,id&filter=category%3D%22"
    after = "%22%26%26price%3E%3D1000"
    script = f"""request = function()
        return wrk.format("GET", "{query}c" .. math.random(0, {CATEGORIES - 1}) .. "{after}") end"""
    bench.measure("filtered and sorted list", "PocketBase", server, root + query + "c7" + after, script,
                  json_list("items"))
    bench.measure("insert", "PocketBase", server, root + path, post(path, NEW))
    bench.stop(server)


def roapi(bench, count):
    table, port = bench.work / "items.csv", free_port()
    with open(table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows(count))
    other, flight = free_port(), free_port()
    server = bench.start([bench.bin / "roapi", "-a", f"127.0.0.1:{port}", "-p", f"127.0.0.1:{other}",
                          "--addr-flight-sql", f"127.0.0.1:{flight}", "-t", f"items={table},format=csv"], port)
    base, path = f"http://127.0.0.1:{port}", "/api/tables/items"
    prefix = f"{path}?filter%5Bid%5D="
    bench.measure("item by key", "ROAPI", server, f"{base}{prefix}7", by_key(prefix, count=count),
                  lambda body: body[0]["id"] == 7)
    bench.measure("list of 25", "ROAPI", server, f"{base}{path}?limit=25", is_right=json_list(None))
    query = f"{path}?filter%5Bcategory%5D=%27CATEGORY%27&filter%5Bprice%5Dgte=1000&sort=price,id&limit=25"
    before, after = query.split("CATEGORY")
    script = f"""request = function()
        return wrk.format("GET", "{before}c" .. math.random(0, {CATEGORIES - 1}) .. "{after}") end"""
    bench.measure("filtered and sorted list", "ROAPI", server, base + query.replace("CATEGORY", "c7"), script,
                  json_list(None))
    bench.stop(server)


def pgbench(bench, url, count):
    """What PostgreSQL itself answers by prepared statements: a bound for whoever asks it."""
    for case, sql in [
        ("item by key", f"\\set id random(1, {count})\nselect * from items where id = :id;"),
        ("list of 25", "select * from items order by id limit 25;"),
        ("filtered and sorted list",
         f"\\set c random(0, {CATEGORIES - 1})\nselect * from items where category = 'c' || :c and price >= 1000 "
         "order by price, id limit 25;"),
    ]:
        script = bench.work / "case.sql"
        script.write_text(sql)
        command = ["pgbench", "-n", "-M", "prepared", "-c", "8", "-T", str(bench.options.seconds), "-f", script, url]
        every = []
        for _ in range(bench.options.runs):
            began = ticks(bench.postgres.pid)
            done = subprocess.run(bench.pin_client + command, check=True, capture_output=True, text=True)
            out = done.stdout
            rate = float(re.search(r"tps = ([\d.]+)", out).group(1))
            sent = int(re.search(r"actually processed: (\d+)", out).group(1))
            every.append((rate, (ticks(bench.postgres.pid) - began) / sent * 1e6))
        rate, cpu = (statistics.median(column) for column in zip(*every))
        bench.figures[case, "pgbench"] = rate
        print(f"{case:28} {'pgbench -M prepared':22} {rate:10,.0f} /s {cpu:8.1f} us of cpu", flush=True)


def bare(bench, url, count):
    """One handler for one query, written by hand."""
    port = free_port()
    server = bench.start([bench.options.bare, f"127.0.0.1:{port}", url], port)
    base = f"http://127.0.0.1:{port}"
    bench.measure("item by key", "bare handler", server, f"{base}/items/7", by_key("/items/", count=count),
                  lambda body: body["item"]["id"] == 7)
    bench.measure("filtered and sorted list", "bare handler", server, f"{base}/items?category=c7",
                  by_category("/items?category=%s"), json_list("items"))
    bench.stop(server)


def exports(bench, url):
    """Five times the rows out, with the most memory that it took."""
    folder, port = bench.work / "ws-export", free_port()
    (folder / "apps").mkdir(parents=True)
    (folder / "restway.yaml").write_text("workspace: bench\n")
    source = "{ type: postgres, url: \"${env.BENCH_PG}\" }"
    text = APP.format(source=source).replace("from: db.items", "from: { source: db, sql: '%s' }, key: [id, n]")
    sql = "select i.*, n from items i cross join generate_series(1, 5) n"
    count = 5 * bench.options.rows
    (folder / "apps" / "bench.yaml").write_text(text % sql)
    for form in bench.options.forms.split(","):
        server = bench.start([bench.options.restway, "-C", folder, "serve", "--listen", f"127.0.0.1:{port}"], port,
                             env={**os.environ, "BENCH_PG": url})
        began, size, lines = time.monotonic(), 0, 0
        address = f"http://127.0.0.1:{port}/rest/v1/bench/items?$format={form}"
        with urllib.request.urlopen(address) as answer:
            while piece := answer.read(1 << 20):
                size += len(piece)
                lines += piece.count(b"\n")
        seconds = time.monotonic() - began
        # Both forms have one line more: a head, or an end mark.
        if form in ("ndjson", "csv") and lines != count + 1:
            raise SystemExit(f"{lines} lines of {form}, not {count + 1}")
        print(f"{f'{count:,} rows as {form}':28} {'restway, postgres':22} {count / seconds:10,.0f} rows/s "
              f"{size / 1e6:8.1f} MB  {memory(server.pid):5} MiB", flush=True)
        bench.stop(server)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--restway", required=True)
    parser.add_argument("--bare", required=True, help="the bare handler's program")
    parser.add_argument("--bin", required=True, help="the folder with the peers' programs")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--deep", type=int, default=4_000, help="the page that keyset paging is timed at")
    parser.add_argument("--forms", default="ndjson,csv")
    parser.add_argument("--only", default="restway,pocketbase,roapi,datasette,postgres,exports")
    parser.add_argument("--cache", default="~/.cache/restway/bench")
    options = parser.parse_args()
    bench, only = Bench(options), options.only.split(",")
    bench.bin = pathlib.Path(options.bin)
    try:
        database = bench.work / "items.db"
        sqlite(database, options.rows)
        if "restway" in only:
            restway(bench, "restway, sqlite", f"{{ type: sqlite, path: '{database}', outside: true }}", options.rows)
        if "pocketbase" in only:
            pocketbase(bench, options.rows)
        if "roapi" in only:
            roapi(bench, options.rows)
        if "datasette" in only:
            sqlite(database, options.rows)
            datasette(bench, database, options.rows)
        if {"postgres", "exports"} & set(only):
            url = postgres(bench, options.rows)
        if "postgres" in only:
            pgbench(bench, url, options.rows)
            source = "{ type: postgres, url: \"${env.BENCH_PG}\" }"
            restway(bench, "restway, postgres", source, options.rows, {"BENCH_PG": url})
            bare(bench, url, options.rows)
        if "exports" in only:
            exports(bench, url)
    finally:
        bench.end()


main()
