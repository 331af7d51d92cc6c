"""The load generator, in a process of its own: callers with kept connections, one request at a time each.

Reads one JSON line for each load from stdin and writes one JSON line with its result. Speaks just enough
HTTP/1.1 for the services under test, because every microsecond here is missing there.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

# A service that answers later hangs, and a benchmark of it means nothing.
_LAST_ANSWER_SECONDS = 30


@dataclass(frozen=True)
class Load:
    """`requests`: paths and bearers, taken in turn by all callers. It measures after `settle_seconds`.

    With `each_seconds`, a caller begins a request so often, if it has the answer to its last one by then. The
    callers begin spread over that time. Without it, requests follow each other at once.
    """

    port: int
    callers: int
    seconds: float
    settle_seconds: float
    requests: list[tuple[str, str]]
    body: str = "{}"
    headers: str = ""
    each_seconds: float = 0.0


@dataclass
class Result:
    """`sent` counts every request, also those before and after the measured time. Times are in ms."""

    sent: int = 0
    errors: int = 0
    per_second: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    first_error: str = ""
    times: list[float] = field(default_factory=list)


async def run(load: Load) -> Result:
    result = Result()
    payloads = itertools.cycle([_payload(load, path, bearer) for path, bearer in load.requests])
    streams = [await asyncio.open_connection("127.0.0.1", load.port) for _ in range(load.callers)]
    begins = time.perf_counter() + load.settle_seconds
    ends = begins + load.seconds
    async with asyncio.timeout(load.settle_seconds + load.seconds + _LAST_ANSWER_SECONDS):
        each = load.each_seconds
        calls = [
            _call(stream, payloads, begins, ends, result, each, number * each / load.callers)
            for number, stream in enumerate(streams)
        ]
        await asyncio.gather(*calls)
    result.per_second = len(result.times) / load.seconds
    if result.times:
        cuts = statistics.quantiles([*result.times, result.times[-1]], n=100, method="inclusive")
        result.p50_ms, result.p99_ms = cuts[49] * 1000, cuts[98] * 1000
    result.times.clear()
    return result


async def _call(
    stream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    payloads: Iterator[bytes],
    begins: float,
    ends: float,
    result: Result,
    each_seconds: float,
    waits: float,
) -> None:
    reader, writer = stream
    next_at = time.perf_counter() + waits
    while (started := time.perf_counter()) < ends:
        if each_seconds:
            next_at = max(next_at, started)
            await asyncio.sleep(next_at - started)
            next_at, started = next_at + each_seconds, time.perf_counter()
        writer.write(next(payloads))
        try:
            status, body = await _answer(reader)
        except (OSError, EOFError) as error:
            status, body = 0, repr(error).encode()
        done = time.perf_counter()
        result.sent += 1
        if begins <= done < ends:
            result.times.append(done - started)
        if status != 200:
            result.errors += 1
            result.first_error = result.first_error or f"{status} {body[:200].decode(errors='replace')}"
        if not status or reader.at_eof():
            break
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    before, found, after = head.partition(b"content-length:")
    length = int(after.partition(b"\r\n")[0]) if found else 0
    return int(before[9:12]), await reader.readexactly(length)


def _payload(load: Load, path: str, bearer: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\nContent-Type: application/json\r\n"
    if bearer:
        head += f"Authorization: Bearer {bearer}\r\n"
    return f"{head}{load.headers}Content-Length: {len(load.body)}\r\n\r\n{load.body}".encode()


def main() -> None:
    for line in sys.stdin:
        load = Load(**json.loads(line))
        gc.collect()
        gc.disable()
        result = asyncio.run(run(load))
        gc.enable()
        print(json.dumps(asdict(result)), flush=True)


if __name__ == "__main__":
    main()
