"""The records of the benchmarks as static files, the same bytes on every machine.

Everything is a pure function of the number of the record, so that a run can be checked: the files
come with the counts and sums that a correct landing of them must show.
"""

import json
import pathlib
import random

TITLES = ["Kettle", "Lamp", "Chair", "Tēapot", "椅子", "Rug"]
CITIES = ["Oslo", "Łódź", "Köln", "東京"]


def order(numbers, n):
    """One order of about 820 bytes, with an object inside and two lists."""
    lines = [
        {
            "sku": f"SKU-{numbers.randrange(5000):05}",
            "title": numbers.choice(TITLES),
            "quantity": numbers.randrange(1, 9),
            "unit_price": numbers.randrange(100, 99999) / 100,
            "taxed": numbers.random() < 0.5,
        }
        for _ in range(numbers.randrange(3, 6))
    ]
    return {
        "id": n,
        "number": f"SO-2026-{n:08}",
        "status": numbers.choice(["open", "paid", "shipped", "cancelled"]),
        "customer": {
            "id": numbers.randrange(1, 20000),
            "name": f"Customer {numbers.randrange(20000)}",
            "email": f"customer.{numbers.randrange(20000)}@example.com",
            "address": {
                "street": f"{numbers.randrange(1, 300)} Long Street",
                "city": numbers.choice(CITIES),
                "zip": f"{numbers.randrange(100000):05}",
            },
        },
        "lines": lines,
        "tags": numbers.sample(["gift", "rush", "b2b", "fragile"], numbers.randrange(0, 3)),
        "total": numbers.randrange(1000, 9999999) / 100,
        "currency": numbers.choice(["EUR", "NOK", "PLN"]),
        "channel": numbers.choice(["web shop", "telephone"]),
        "note": None if numbers.random() < 0.6 else "Please leave it with the neighbour " * 2,
        "placed_at": f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}T{n % 24:02}:30:00+02:00",
        "updated_at": f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}T{n % 24:02}:45:10.5Z",
    }


def measurement(numbers, n):
    """One flat row of twelve columns, about 250 bytes."""
    return {
        "id": n,
        "device": f"device-{numbers.randrange(1000):04}",
        "site": numbers.choice(CITIES),
        "taken_at": f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}T{n % 24:02}:{n % 60:02}:00Z",
        "celsius": numbers.randrange(-4000, 6000) / 100,
        "humidity": numbers.randrange(0, 10000) / 100,
        "pressure": numbers.randrange(90000, 110000),
        "battery": numbers.randrange(0, 101),
        "is_valid": numbers.random() < 0.99,
        "firmware": f"{numbers.randrange(1, 5)}.{numbers.randrange(10)}",
        "operator": f"operator {numbers.randrange(50)}",
        "comment": None if numbers.random() < 0.9 else "checked by hand",
    }


def write_pages(folder, kind, records, per_page):
    """Token pages: `KIND-TOKEN.json`, the first `KIND-.json`; each names its `nextPageToken`.

    Returns what a landing must show: records, and for orders lines, tags and the sum of cents.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    make = {"orders": order, "measurements": measurement}[kind]
    numbers = random.Random(7)
    expected = {"records": records, "ids": records * (records + 1) // 2}
    lines = tags = cents = size = 0
    for first in range(0, records, per_page):
        last = min(first + per_page, records)
        data = [make(numbers, n + 1) for n in range(first, last)]
        if kind == "orders":
            lines += sum(len(one["lines"]) for one in data)
            tags += sum(len(one["tags"]) for one in data)
            cents += sum(round(one["total"] * 100) for one in data)
        page = {"data": data}
        if last < records:
            page["nextPageToken"] = f"t{last}"
        token = f"t{first}" if first else ""
        text = json.dumps(page, ensure_ascii=False).encode()
        size += len(text)
        (folder / f"{kind}-{token}.json").write_bytes(text)
    if kind == "orders":
        expected |= {"lines": lines, "tags": tags, "cents": cents}
    return expected | {"bytes": size}


def write_document(path, gigabytes):
    """One JSON document of about so many gigabytes: the orders of a page, again and again."""
    numbers = random.Random(7)
    size = 0
    records = 0
    with open(path, "wb") as out:
        out.write(b'{"data": [')
        while size < gigabytes * 1e9:
            text = json.dumps(order(numbers, records + 1), ensure_ascii=False).encode()
            out.write(b"," * bool(records) + text)
            size += len(text) + 1
            records += 1
        out.write(b"]}")
    return {"records": records, "ids": records * (records + 1) // 2, "bytes": size}
