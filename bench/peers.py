"""The peers' side of the nested and flat benchmarks, each as its users would write it.

Usage: peers.py dlt|script|duckdb SOURCE KIND FOLDER. SOURCE is the URL of the pages, or for DuckDB
the folder of the files. Prints one JSON object: what landed, to be compared with what must.
"""

import json
import os
import sys


def with_dlt(url, kind, folder):
    """dlt's own REST source into Parquet files, its documentation's settings."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    import dlt
    from dlt.sources.rest_api import rest_api_source

    cursor = {"type": "cursor", "cursor_path": "nextPageToken", "cursor_param": "pageToken"}
    endpoint = {"path": kind, "data_selector": "data", "paginator": cursor}
    source = rest_api_source({
        "client": {"base_url": url},
        "resources": [{"name": kind, "endpoint": endpoint}],
    })
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=f"{folder}/state", dataset_name="shop",
        destination=dlt.destinations.filesystem(bucket_url=f"file://{folder}/out"),
    )
    pipeline.run(source, loader_file_format="parquet", write_disposition="replace")


def count_dlt(kind, folder):
    import duckdb

    def files(table):
        return f"read_parquet('{folder}/out/shop/{table}/*.parquet')"

    ids = duckdb.sql(f"select count(*), sum(id) from {files(kind)}").fetchall()[0]
    told = {"records": ids[0], "ids": int(ids[1])}
    if kind == "orders":
        told["lines"] = duckdb.sql(f"select count(*) from {files('orders__lines')}").fetchall()[0][0]
        told["tags"] = duckdb.sql(f"select count(*) from {files('orders__tags')}").fetchall()[0][0]
        cents = duckdb.sql(f"select sum(round(total * 100)) from {files(kind)}").fetchall()[0][0]
        told["cents"] = int(cents)
    return told


def with_script(url, kind, folder):
    """What an engineer writes in ten lines: requests, orjson, pyarrow; lists stay nested."""
    import orjson
    import pyarrow as pa
    import pyarrow.parquet as pq
    import requests

    session = requests.Session()
    token, tables = "", []
    while token is not None:
        body = orjson.loads(session.get(f"{url}/{kind}", params={"pageToken": token}).content)
        tables.append(pa.Table.from_pylist(body["data"]))
        token = body.get("nextPageToken")
    table = pa.concat_tables(tables, promote_options="permissive")
    os.makedirs(folder, exist_ok=True)
    pq.write_table(table, f"{folder}/{kind}.parquet", compression="zstd")


def with_duckdb(files, kind, folder):
    """DuckDB reading the same files from the local disk into one Parquet file."""
    import duckdb

    os.makedirs(folder, exist_ok=True)
    duckdb.sql(f"""copy (
        select unnest(data, recursive := false) as r from
            read_json('{files}/{kind}-*.json', maximum_object_size = 50000000)
    ) to '{folder}/{kind}.parquet' (format parquet, compression zstd)""")


def count_file(kind, folder, record):
    import duckdb

    path = f"read_parquet('{folder}/{kind}.parquet')"
    ids = duckdb.sql(f"select count(*), sum({record}id) from {path}").fetchall()[0]
    return {"records": ids[0], "ids": int(ids[1])}


def main(what, source, kind, folder):
    if what == "count":
        who = source
        counts = {"dlt": lambda: count_dlt(kind, folder),
                  "script": lambda: count_file(kind, folder, ""),
                  "duckdb": lambda: count_file(kind, folder, "r.")}
        print(json.dumps(counts[who]()))
        return
    {"dlt": with_dlt, "script": with_script, "duckdb": with_duckdb}[what](source, kind, folder)


main(*sys.argv[1:])
