"""The summary of a soak, as Markdown."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from broker.sessions.session import TokenState
from tests.load.soak.gauges import WARM_SECONDS, Sample, of_processes, p95_by_thirds, thirds
from tests.load.soak.run import Result

_SHOWN = 40


def summary(result: Result) -> str:
    return "\n".join(
        [
            f"# Soak of {result.seconds / 60:.1f} minutes",
            "",
            *_counts(result),
            "",
            *_codes(result),
            "",
            *_faults(result),
            "",
            *_latency(result),
            "",
            *_processes(result),
            "",
            *_violations(result),
        ]
    )


def _table(head: list[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines: list[Sequence[object]] = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def _counts(result: Result) -> list[str]:
    journal, rows = result.journal, result.rows
    states = Counter(row.state for row in rows.tokens)
    in_doubt = [row for row in rows.issued if row.token_sha256 not in journal.tokens]
    minutes = sum(row.seconds for row in rows.tokens if row.state == TokenState.ISSUED) / 60
    return _table(
        ["", "count"],
        [
            ["requests", sum(sum(codes.values()) for codes in journal.answers.values())],
            ["faults", sum(journal.faults.values())],
            ["sessions in the ledger", len(rows.sessions)],
            ["tokens issued, void, never confirmed", ", ".join(str(states[one]) for one in _STATES)],
            ["tokens that clients received", len(journal.tokens)],
            ["of them received again by a repeat", sum(journal.deliveries.values()) - len(journal.tokens)],
            ["issued tokens whose answer was lost", len(in_doubt)],
            ["most places held at once", result.gauges.most_places],
            ["minutes charged", f"{minutes:.0f}"],
            ["secrets looked for in logs and tables", len(journal.needles) // 2],
            ["violations", len(result.violations)],
        ],
    )


_STATES = (TokenState.ISSUED, TokenState.VOID, TokenState.RESERVED)


def _codes(result: Result) -> list[str]:
    """The results of all requests, by kind."""
    rows: list[list[object]] = []
    for kind, codes in sorted(result.journal.answers.items()):
        others = ", ".join(f"{code} {count}" for code, count in codes.most_common() if code != "ok")
        rows.append([kind, codes["ok"], others])
    return _table(["request", "ok", "other results"], rows)


def _faults(result: Result) -> list[str]:
    recoveries = result.journal.recoveries
    rows: list[list[object]] = [
        [
            name,
            count,
            f"{statistics.median(recoveries[name]):.1f}" if recoveries[name] else "",
            f"{max(recoveries[name], default=0):.1f}",
        ]
        for name, count in sorted(result.journal.faults.items())
    ]
    return _table(["fault", "times", "seconds until ready and granting (median)", "(most)"], rows)


def _latency(result: Result) -> list[str]:
    rows: list[list[object]] = []
    journal = result.journal
    for name, answers, calm_only in (
        ("with a token, no fault near", journal.mints, True),
        ("with a token, all", journal.mints, False),
        ("to a probe, no fault near", journal.probes, True),
    ):
        values = p95_by_thirds(answers, calm_only=calm_only)
        shown = [f"{value * 1000:.0f} ms" for value in values] or ["too few answers", "", ""]
        rows.append([name, *shown])
    return _table(["p95 of an answer", "first third", "second", "last"], rows)


def _processes(result: Result) -> list[str]:
    """The processes that were watched for longest."""
    rows: list[list[object]] = []
    for pid, items in list(of_processes(result.gauges.samples).items())[:8]:
        name = "gunicorn" if items[0].is_master else "worker"
        rows.append([f"{name} {pid}", f"{(items[-1].at - items[0].at) / 60:.1f}", *_flat(items)])
    head = ["process", f"minutes after its first {WARM_SECONDS} s", "MB by thirds", "handles", "threads"]
    return _table(head, rows)


def _flat(items: list[Sample]) -> list[object]:
    values = (
        thirds(items, lambda one: one.megabytes),
        thirds(items, lambda one: one.handles),
        thirds(items, lambda one: one.threads),
    )
    return [" → ".join(f"{value:.0f}" for value in each) for each in values]


def _violations(result: Result) -> list[str]:
    if not result.violations:
        return ["0 violations."]
    counted = Counter(result.violations)
    more = len(counted) - _SHOWN
    shown = [f"- {text}" + (f" ({count} times)" if count > 1 else "") for text, count in counted.items()][
        :_SHOWN
    ]
    return [
        f"{len(result.violations)} violations:",
        "",
        *shown,
        *([f"- and {more} other ones"] if more > 0 else []),
    ]
