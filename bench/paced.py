"""A small REST API whose answers take time or are rationed, on loopback and with made-up records.

Usage: paced.py PORT. Writes nothing; `/stats` tells what was asked since the last look.

| path | what |
| --- | --- |
| `/pages?page=N` | one of 2,000 pages of 100 records, after 50 ms; `total_pages` is told |
| `/parents?page=N` | 5,000 parents, 1,000 a page, at once |
| `/parents/ID/children` | ten children of a parent, after 30 ms |
| `/rationed?page=N` | 1,000 pages of 10 records; at most 50 requests in any second, else 429 |
| `/changes?since=N&page=N` | those of 100,000 records that changed at N or later, 1,000 a page |
| `/stats` | requests, 429s, the most requests under way at once; then all zero again |
| `/seen` | requests so far |
"""

import asyncio
import collections
import json
import sys
import time
from urllib.parse import parse_qsl, urlsplit

PAGES, PARENTS, RATIONED, PER_SECOND, CHANGES = 2000, 5000, 1000, 50, 100_000
stats = collections.Counter()
under_way = 0
recent = collections.deque()


def records(first, count):
    return [{"id": first + n, "name": f"record {first + n}", "size": (first + n) % 97} for n in range(count)]


def page(query, pages, per_page):
    number = int(query.get("page", 1))
    return {"data": records((number - 1) * per_page + 1, per_page), "total_pages": pages}


async def answer(path, query):
    if path == "/pages":
        await asyncio.sleep(0.05)
        return 200, page(query, PAGES, 100)
    if path == "/parents":
        return 200, page(query, PARENTS // 1000, 1000)
    if path.startswith("/parents/"):
        await asyncio.sleep(0.03)
        parent = int(path.split("/")[2])
        return 200, {"data": records(parent * 10, 10)}
    if path == "/rationed":
        now = time.monotonic()
        while recent and recent[0] <= now - 1:
            recent.popleft()
        if len(recent) >= PER_SECOND:
            stats["rejected"] += 1
            return 429, {"error": "too many requests"}
        recent.append(now)
        return 200, page(query, RATIONED, 10)
    if path == "/changes":
        first = max(int(query.get("since", 1)), 1) + (int(query.get("page", 1)) - 1) * 1000
        left = max(CHANGES - int(query.get("since", 1)) + 1, 0)
        data = records(first, max(min(1000, CHANGES - first + 1), 0))
        return 200, {"data": data, "total_pages": -(-left // 1000)}
    if path == "/seen":
        return 200, {"requests": stats["requests"]}
    if path == "/stats":
        told = dict(stats)
        stats.clear()
        return 200, told
    return 404, {"error": f"nothing at {path}"}


async def serve(reader, writer):
    global under_way
    try:
        while line := await reader.readline():
            target = line.split()[1].decode()
            while (await reader.readline()).strip():
                pass
            url = urlsplit(target)
            if url.path not in ("/stats", "/seen"):
                stats["requests"] += 1
            under_way += 1
            stats["at_once"] = max(stats["at_once"], under_way)
            status, body = await answer(url.path, dict(parse_qsl(url.query)))
            under_way -= 1
            text = json.dumps(body).encode()
            more = "Retry-After: 1\r\n" if status == 429 else ""
            head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}Content-Length: {len(text)}\r\n\r\n"
            writer.write(head.encode() + text)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main(port):
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=256)
    async with server:
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
