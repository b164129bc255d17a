from __future__ import annotations

import json
from pathlib import Path

import pytest

from modhub.inspection.lint import all_rules
from tests.cli.command_lines import here, in_a_process, refusal
from tests.lint.crafted import PLAIN, Signatures, Variant, write

Capture = pytest.CaptureFixture[str]

UNNAMED: Signatures = {"default": ({}, {"y": "float32"})}
ILLEGAL: Signatures = {**PLAIN, "a\x1b b": PLAIN["default"]}


@pytest.fixture
def good(tmp_path: Path) -> str:
    """A module without findings."""
    return write(tmp_path / "good", Variant(signatures=PLAIN))


@pytest.fixture
def doubtful(tmp_path: Path) -> str:
    """A module with a warning."""
    return write(tmp_path / "doubtful", Variant(signatures=UNNAMED))


@pytest.fixture
def wrong(tmp_path: Path) -> str:
    """A module with an error, in whose text there is an escape sequence."""
    return write(tmp_path / "wrong", Variant(signatures=ILLEGAL))


def test_the_status_tells_whether_there_are_errors(good: str, doubtful: str, wrong: str, capsys: Capture) -> None:
    assert [here(capsys, "lint", path).status for path in (good, doubtful, wrong)] == [0, 0, 1]
    assert [here(capsys, "lint", "--strict", path).status for path in (good, doubtful, wrong)] == [0, 1, 1]
    assert here(capsys, "lint", good, wrong, doubtful).status == 1
    assert here(capsys, "lint", good, good + "-not-there").status == 2


def test_the_table_says_where_and_what_to_do(doubtful: str, wrong: str, capsys: Capture) -> None:
    done = here(capsys, "lint", doubtful, wrong)
    first, headers, row, fix, second, _, error, *_ = [line.rstrip() for line in done.out.splitlines()]
    assert first == f"{doubtful}: 1 warning"
    assert headers.split() == ["severity", "rule", "where", "message"]
    assert row.split()[:2] == ["warning", "default-output-missing"]
    assert "variant {}, signature 'default'" in row
    assert fix == f"fix default-output-missing: {all_rules()['default-output-missing'].fix}"
    assert second == f"{wrong}: 1 error"
    assert "\x1b" not in done.out
    assert "a\\x1b b" in error


def test_a_module_without_findings_says_so(good: str, capsys: Capture) -> None:
    assert here(capsys, "lint", good).out == f"{good}: no findings\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--ignore", "default-output-missing=two equal outputs"],
        ["--ignore", "default-output-missing", "--reason", "two equal outputs"],
        ["--reason", "two equal outputs", "--ignore", "unknown-op=text ops", "--ignore", "default-output-missing"],
    ],
)
def test_a_rule_is_ignored_with_a_reason(words: list[str], doubtful: str, capsys: Capture) -> None:
    done = here(capsys, "lint", "--strict", doubtful, *words)
    assert (done.status, done.err) == (0, "")
    assert "ignored default-output-missing at variant {}, signature 'default': two equal outputs" in done.out
    (report,) = json.loads(here(capsys, "lint", "--json", doubtful, *words).out)["reports"]
    assert (report["findings"], report["ignored"][0]["reason"]) == ([], "two equal outputs")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--ignore", "default-output-missing"], "A reason is needed"),
        (["--reason", "why"], "A reason is needed"),
        (["--ignore", "default-output-missing="], "say in words why"),
        (["--ignore", "default-outputs=why"], "Did you mean"),
    ],
)
def test_ignoring_needs_a_rule_and_a_reason(words: list[str], says: str, doubtful: str, capsys: Capture) -> None:
    assert says in refusal(here(capsys, "lint", doubtful, *words))


def test_a_command_line_without_a_module_is_refused(capsys: Capture) -> None:
    assert "No module" in refusal(here(capsys, "lint"))


def test_json_has_all_that_a_finding_says(good: str, doubtful: str, capsys: Capture) -> None:
    done = here(capsys, "lint", "--json", "--strict", good, doubtful)
    first, second = json.loads(done.out)["reports"]
    assert first == {"handle": good, "ok": True, "findings": [], "ignored": []}
    rule = all_rules()["default-output-missing"]
    assert (second["ok"], done.status) == (False, 1)
    assert second["findings"] == [
        {
            "rule": rule.id,
            "severity": "warning",
            "message": "There is no output 'default'; it has 'y'.",
            "where": "variant {}, signature 'default'",
            "fix": rule.fix,
            "source": rule.source,
        }
    ]


def test_rules_are_listed(capsys: Capture) -> None:
    lines = here(capsys, "lint", "--rules").out.splitlines()[1:]
    assert lines == [line.rstrip() for line in lines]
    assert [line.split()[0] for line in lines] == list(all_rules())
    listed = json.loads(here(capsys, "lint", "--rules", "--json").out)["rules"]
    assert [(rule["id"], rule["severity"]) for rule in listed] == [
        (name, rule.severity.value) for name, rule in all_rules().items()
    ]


def test_it_runs_where_there_is_no_tensorflow_and_no_numpy(doubtful: str) -> None:
    done = in_a_process("lint", doubtful, hidden=("tensorflow", "numpy"))
    assert (done.status, done.err) == (0, "")
    assert "default-output-missing" in done.out
