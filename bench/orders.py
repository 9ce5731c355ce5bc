"""Writes token pages of nested orders as static files, the same bytes on every machine.

Usage: orders.py FOLDER ORDERS PER_PAGE. Page N is FOLDER/orders-TOKEN.json, the first one
FOLDER/orders-.json; each names the next token in `nextPageToken`.
"""

import json
import pathlib
import random
import sys


def order(numbers, n):
    """One order of about 800 bytes, with an object inside and a list of lines."""
    lines = [
        {
            "sku": f"SKU-{numbers.randrange(5000):05}",
            "title": numbers.choice(["Kettle", "Lamp", "Chair", "Tēapot", "椅子", "Rug"]),
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
                "city": numbers.choice(["Oslo", "Łódź", "Köln", "東京"]),
                "zip": f"{numbers.randrange(100000):05}",
            },
        },
        "lines": lines,
        "tags": numbers.sample(["gift", "rush", "b2b", "fragile"], numbers.randrange(0, 3)),
        "total": numbers.randrange(1000, 9999999) / 100,
        "note": None if numbers.random() < 0.7 else "Please leave it with the neighbour " * 2,
        "placed_at": f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}T{n % 24:02}:30:00+02:00",
        "updated_at": f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}T{n % 24:02}:45:10.5Z",
    }


def main(folder, orders, per_page):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = random.Random(7)
    size = 0
    for first in range(0, orders, per_page):
        last = min(first + per_page, orders)
        page = {"data": [order(numbers, n + 1) for n in range(first, last)]}
        if last < orders:
            page["nextPageToken"] = f"t{last}"
        token = f"t{first}" if first else ""
        text = json.dumps(page, ensure_ascii=False, indent=None)
        size += len(text.encode())
        (folder / f"orders-{token}.json").write_text(text, encoding="utf-8")
    print(f"{orders} orders, {size / 1e6:.1f} MB of JSON")


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
