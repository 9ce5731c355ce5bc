"""Reads a table with three readers that are not ours, and compares it with what Restway says.

Arguments: the table's folder, a file with its rows as Restway writes JSON (ordered by row id), and
a file with what `restway tables show --json` says. Ends with an error at the first difference.
"""

import datetime
import json
import sys
from decimal import Decimal

import duckdb
import polars
from deltalake import DeltaTable, QueryBuilder

folder, rows_file, shown_file = sys.argv[1:]
# Numbers stay as they were written, so that no float stands between the two sides.
expected = json.load(open(rows_file), parse_int=Decimal, parse_float=Decimal)
kinds = {column["name"]: column["type"] for column in json.load(open(shown_file))["columns"]}


def of_restway(kind, value):
    """A value of Restway's JSON as the reader should have it."""
    if value is None or kind in ("bool", "text", "json", "null"):
        return value
    if kind == "float64":
        return float(value)
    if kind == "date":
        return datetime.date.fromisoformat(value)
    if kind == "timestamp":
        return datetime.datetime.fromisoformat(value)
    return Decimal(value)


def of_reader(kind, value):
    if value is None:
        return None
    if kind == "json":
        return json.loads(value, parse_int=Decimal, parse_float=Decimal)
    if kind == "timestamp":
        return value.astimezone(datetime.timezone.utc)
    if kind == "int64" or kind.startswith("decimal"):
        assert not isinstance(value, float), (kind, value)
        return Decimal(value)
    return value


def check(reader, rows):
    rows = sorted(rows, key=lambda row: row["_row_id"])
    assert len(rows) == len(expected), f"{reader}: {len(rows)} rows, {len(expected)} expected"
    for row, wanted in zip(rows, expected):
        assert set(row) <= set(wanted), f"{reader}: {set(row) - set(wanted)}"
        for name, kind in kinds.items():
            got = of_reader(kind, row.get(name))
            want = of_restway(kind, wanted[name])
            assert got == want, f"{reader}: {name} ({kind}): {got!r}, not {want!r}"


table = DeltaTable(folder)
scan = QueryBuilder().register("t", table).execute("select * from t")
check("deltalake", polars.from_arrow(scan).struct.unnest().to_dicts())
check("polars", polars.read_delta(folder).to_dicts())
files = table.file_uris()
if files:
    duck = duckdb.connect()
    duck.execute("set timezone = 'UTC'")
    found = duck.execute("select * from read_parquet($1, union_by_name = true)", [files])
    names = [column[0] for column in found.description]
    # DuckDB hands instants over through a package for time zones that is not there: as text.
    casts = ", ".join(
        f'("{name}" at time zone \'UTC\')::text as "{name}"' if kinds[name] == "timestamp"
        else f'"{name}"' for name in names
    )
    found = duck.execute(f"select {casts} from read_parquet($1, union_by_name = true)", [files])
    rows = [dict(zip(names, row)) for row in found.fetchall()]
    for row in rows:
        for name in names:
            if kinds[name] == "timestamp" and row[name] is not None:
                row[name] = datetime.datetime.fromisoformat(row[name] + "+00:00")
    check("duckdb", rows)
print(f"{len(expected)} rows are the same")
