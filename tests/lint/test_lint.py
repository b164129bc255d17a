from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modhub import errors
from modhub.inspection.findings import Severity
from modhub.inspection.lint import all_rules, lint
from modhub.inspection.lint.page import page
from tests.lint.crafted import PLAIN, Signatures, Variant, node, write

ROOT = Path(__file__).resolve().parents[2]
FAULTY: Signatures = {"a b": ({}, {"y": "float32"}), "default": ({}, {"y": "float32"})}


@pytest.fixture
def faulty(tmp_path: Path) -> str:
    """A module with an error, a warning and a note."""
    return write(tmp_path / "faulty", Variant(signatures=FAULTY), files={"more": b"x"})


def test_findings_are_sorted_by_weight(faulty: str) -> None:
    report = lint(faulty)
    assert report.handle == faulty
    assert [(finding.severity.value, finding.rule) for finding in report.findings] == [
        ("error", "signature-name"),
        ("warning", "default-output-missing"),
        ("note", "unknown-file"),
    ]
    assert [finding.rule for finding in report.errors] == ["signature-name"]
    assert [finding.rule for finding in report.warnings] == ["default-output-missing"]
    assert not report.ok
    assert pickle.loads(pickle.dumps(report)) == report


def test_a_rule_is_ignored_with_a_reason(faulty: str) -> None:
    report = lint(faulty, ignore={"signature-name": "old callers"})
    assert [finding.rule for finding in report.findings] == ["default-output-missing", "unknown-file"]
    assert [(finding.rule, reason) for finding, reason in report.ignored] == [("signature-name", "old callers")]
    assert report.ok


@pytest.mark.parametrize(
    ("ignore", "says"),
    [
        ({"signature-names": "x"}, "Did you mean 'signature-name'"),
        ({"signature-name": ""}, "say in words why"),
        ({"signature-name": " "}, "say in words why"),
        ({"signature-name": None}, "say in words why"),
        (["signature-name"], "pass a dict"),
        ("signature-name", "pass a dict"),
    ],
)
def test_ignoring_asks_for_a_rule_and_a_reason(ignore: Any, says: str, faulty: str) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=says):
        lint(faulty, ignore=ignore)


def test_what_is_no_module_is_an_error_and_not_a_finding(tmp_path: Path) -> None:
    with pytest.raises(errors.HandleNotFoundError):
        lint(tmp_path / "none")
    with pytest.raises(errors.NotAModuleError):
        lint(tmp_path)
    two = [Variant(signatures=PLAIN, nodes=[node("n", "NoOp")])] * 2
    with pytest.raises(errors.CorruptModuleError, match="two graph variants"):
        lint(write(tmp_path / "two", *two))


def test_a_cycle_in_a_graph_ends(tmp_path: Path) -> None:
    signatures: Signatures = {"default": ({}, {"default": "float32 @ a"})}
    nodes = [node("a", "RandomUniform", "b", "^a"), node("b", "Mul", "a:0", "a", "gone:7")]
    assert [
        each.rule for each in lint(write(tmp_path / "m", Variant(signatures=signatures, nodes=nodes))).findings
    ] == ["random-output"]


def test_functions_that_call_each_other_end(tmp_path: Path) -> None:
    from tests.lint.crafted import function

    signatures: Signatures = {"default": ({}, {"default": "float32 @ a"})}
    functions = [function("f", node("x", "g")), function("g", node("x", "f"))]
    variant = Variant(signatures=signatures, nodes=[node("a", "f")], functions=functions)
    assert lint(write(tmp_path / "m", variant)).findings == ()


def test_every_rule_says_what_it_is_for() -> None:
    for name, rule in all_rules().items():
        assert name == rule.id
        assert name == name.lower()
        assert "_" not in name
        assert isinstance(rule.severity, Severity)
        assert rule.formats
        assert rule.source
        for sentence in (rule.about, rule.fix):
            assert sentence[0].isupper() or sentence.startswith("`")
            assert sentence.rstrip().endswith((".", ")", "]", "directory .")), sentence


def test_the_page_is_what_the_rules_say() -> None:
    documented = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    assert documented == page(), "python -m modhub.inspection.lint.page > docs/lint.md"
    assert all(f"### {name}\n" in documented for name in all_rules())


def test_it_needs_neither_tensorflow_nor_numpy(faulty: str) -> None:
    code = f"import sys; from modhub.inspection.lint import lint; lint({faulty!r}); print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert not set(done.stdout.split()) & {"tensorflow", "numpy", "rich", "requests", "tarfile", "importlib.metadata"}
