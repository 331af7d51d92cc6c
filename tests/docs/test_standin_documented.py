"""docs/stand-in.md lists each scenario and each typed command with the description from the code.

broker/standin/README.md only points there.
"""

from __future__ import annotations

from broker.standin.commands import COMMANDS
from broker.standin.scenarios import SCENARIOS
from tests.docs.markdown import ROOT, bare, code_blocks, rows, section

PAGE = "docs/stand-in.md"


def test_every_scenario_is_documented() -> None:
    documented = {bare(name): what for name, what, _parameters in rows(section(PAGE, "## Scenarios"))}
    assert documented == {name: what for name, (what, _parameters) in SCENARIOS.items()}


def test_every_parameter_is_documented() -> None:
    for name, _what, documented in rows(section(PAGE, "## Scenarios")):
        for parameter in SCENARIOS[bare(name)][1]:
            assert f"`{parameter}`" in documented, name


def test_every_command_is_documented() -> None:
    documented = {bare(name): what for name, what in rows(section(PAGE, "## Commands"))}
    assert documented == {name: what for name, (what, _run) in COMMANDS.items()}


def test_the_python_sample_runs() -> None:
    (sample,) = code_blocks(PAGE, "python")
    exec(compile(sample, PAGE, "exec"), {})


def test_readme_of_the_package_points_to_the_page() -> None:
    text = (ROOT / "broker/standin/README.md").read_text()
    assert len(text.splitlines()) == 2
    assert PAGE in text
