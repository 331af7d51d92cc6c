"""Nobody waits for the reader of the log. Lines that are lost are counted and reported."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

LINES = 6000
# Logs 6 MB, more than the memory for lines that wait, and then says how many lines were lost.
PROGRAM = f"""
import logging, sys, time
from broker.telemetry import log
from broker.telemetry.metrics import LOG_LINES_LOST
log.configure("INFO")
for number in range({LINES}):
    logging.getLogger("noise").info("x" * 1000)
print(int(LOG_LINES_LOST._value.get()), flush=True)
sys.stdin.readline()
logging.getLogger("noise").info("the reader is back")
"""


def start(stderr: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def test_stopped_reader_delays_nobody_and_lost_lines_are_reported() -> None:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    with start(write) as program, os.fdopen(read, "rb") as reader:
        os.close(write)
        assert program.stdout is not None
        assert program.stdin is not None
        # Without a reader, this answer would never come.
        lost = int(program.stdout.readline())
        assert 0 < lost < LINES
        received = b""
        while b"log_lines_lost" not in received:
            received += os.read(reader.fileno(), 1 << 20)
        program.stdin.write("\n")
        program.stdin.flush()
        received += reader.read()
        assert program.wait(30) == 0
    lines = [json.loads(line) for line in received.decode().splitlines()]
    assert sum(line["lines"] for line in lines if line["event"] == "log_lines_lost") == lost
    assert sum(line["event"] == "x" * 1000 for line in lines) == LINES - lost
    assert lines[-1]["event"] == "the reader is back"


def test_process_ends_within_a_second_although_nobody_reads() -> None:
    read, write = os.pipe()
    with start(write) as program:
        os.close(write)
        assert program.stdout is not None
        program.stdout.readline()
        started = time.monotonic()
        program.communicate("\n", timeout=30)
        assert program.returncode == 0
        assert time.monotonic() - started < 20
    os.close(read)


@pytest.mark.parametrize("target", ["/dev/full", "closed pipe"])
def test_lines_that_cannot_be_written_are_counted(target: str) -> None:
    if target == "closed pipe":
        read, write = os.pipe()
        os.close(read)
    else:
        write = os.open(target, os.O_WRONLY)
    with start(write) as program:
        os.close(write)
        out, _ = program.communicate("\n", timeout=30)
        assert program.returncode == 0
        assert int(out) > 0


def test_lines_for_a_file_are_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file, start(file.fileno()) as program:
        assert program.stdout is not None
        assert int(program.stdout.readline()) == 0
        assert path.read_bytes().count(b"\n") == LINES
        program.communicate("\n", timeout=30)
