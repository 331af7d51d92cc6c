"""Reads table rows, code blocks and sections from our Markdown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def section(path: str, heading: str) -> str:
    """Returns the text under `heading`, up to the next heading of the same or a higher level."""
    text = (ROOT / path).read_text()
    level = len(heading) - len(heading.lstrip("#"))
    start = text.index(f"\n{heading}\n") + len(heading) + 2
    following = re.compile(rf"^#{{1,{level}}} ", re.MULTILINE).search(text, start)
    return text[start : following.start() if following else len(text)]


def rows(text: str) -> list[list[str]]:
    """Returns the cells of each table row, without header and rule rows."""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    is_rule = [all(re.fullmatch(r":?-+:?", cell) for cell in row) for row in cells]
    following_rule = [*is_rule[1:], False]
    return [
        row for row, rule, header in zip(cells, is_rule, following_rule, strict=True) if not (rule or header)
    ]


def code_blocks(path: str, language: str) -> list[str]:
    return code_blocks_of((ROOT / path).read_text(), language)


def code_blocks_of(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def shape(value: Any) -> Any:
    """Replaces the values of a JSON value by their types, and a list by its first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


def bare(cell: str) -> str:
    """Returns a cell without its backticks."""
    return cell.strip("`")
