"""The demo runs, and what it prints and publishes is what its text promises."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[1] / "examples" / "digits.py"
ROW = re.compile(r"^\s+(from scratch|frozen|fine-tuned)\s+([\d.]+)% \+- [\d.]+%$", re.MULTILINE)
KERAS = re.compile(r"^\s+(frozen|fine-tuned)\s+([\d.]+)% held-out accuracy on 5-9 after 3 epochs of fit$", re.MULTILINE)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Return what the quick demo printed, and the directory that it published in."""
    pytest.importorskip("sklearn", reason="the demo needs scikit-learn: pip install modhub[demo]")
    out = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, str(DEMO), "--quick", "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, out


def test_table_has_an_accuracy_for_each_way(demo: tuple[str, Path]) -> None:
    printed, _ = demo
    accuracies = {way: float(value) for way, value in ROW.findall(printed)}
    assert accuracies.keys() == {"from scratch", "frozen", "fine-tuned"}
    # Guessing gives 20%. Ten steps are too few to compare the ways, and enough to tell learning from none.
    assert all(50.0 < value <= 100.0 for value in accuracies.values())


@pytest.mark.parametrize("name", ["features", "scratch-10-steps-seed-0", "tuned-10-steps-seed-0"])
def test_modules_are_published(demo: tuple[str, Path], name: str) -> None:
    _, out = demo
    module = out / name
    assert {str(file.relative_to(module)) for file in module.rglob("*") if file.is_file()} == {
        "saved_model.pb",
        "tfhub_module.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    }


def test_published_module_computes_what_the_session_did(demo: tuple[str, Path]) -> None:
    printed, out = demo
    assert "outputs equal those of the tuning session: OK" in printed
    assert str(out / "tuned-10-steps-seed-0") in printed


def test_the_keras_half(demo: tuple[str, Path]) -> None:
    printed, out = demo
    accuracies = {way: float(value) for way, value in KERAS.findall(printed)}
    assert accuracies.keys() == {"frozen", "fine-tuned"}
    assert all(50.0 < value <= 100.0 for value in accuracies.values())
    assert printed.count("outputs equal (largest difference") == 3
    assert (out / "keras" / "tuned-by-keras" / "tfhub_module.pb").exists()
