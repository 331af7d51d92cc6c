"""The metrics folder: always new, and nothing that the operator had is removed or counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.telemetry import metrics_folder

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def test_folder_inside_the_operators_is_made_and_removed_alone(tmp_path: Path) -> None:
    old = tmp_path / "counter_1.db"
    old.write_bytes(b"old")
    environ = {VARIABLE: str(tmp_path)}
    made = metrics_folder.prepare(environ)
    assert made is not None
    assert made.parent == tmp_path
    assert environ[VARIABLE] == str(made)
    (made / "counter_2.db").write_bytes(b"new")
    metrics_folder.remove(environ)
    assert list(tmp_path.iterdir()) == [old]


def test_working_folder_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "precious").touch()
    environ = {VARIABLE: "."}
    made = metrics_folder.prepare(environ)
    assert made is not None
    assert made.is_absolute()
    metrics_folder.remove(environ)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize("given", [None, "", " ", "/nonexistent/folder", "/dev/null"])
def test_unusable_name_means_a_folder_in_memory(given: str | None) -> None:
    environ = {} if given is None else {VARIABLE: given}
    made = metrics_folder.prepare(environ)
    assert made is not None
    assert made.is_dir()
    assert environ[VARIABLE] == str(made)
    metrics_folder.remove(environ)
    assert not made.exists()


def test_master_that_takes_over_keeps_the_folder() -> None:
    environ: dict[str, str] = {}
    made = metrics_folder.prepare(environ)
    assert metrics_folder.prepare(environ) == made
    metrics_folder.remove(environ)
    successor = metrics_folder.prepare(environ)  # its folder has vanished
    assert successor is not None
    assert successor != made
    metrics_folder.remove(environ)


def test_without_any_folder_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_folder, "_scratch_folder", lambda: None)
    environ = {VARIABLE: "/nonexistent"}
    assert metrics_folder.prepare(environ) is None
    assert environ == {}
    metrics_folder.remove(environ)
