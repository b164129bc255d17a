import re
import subprocess
import sys
from pathlib import Path

import modhub as hub

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_tour_runs_as_one_script(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "tour.py").write_text("\n".join(blocks), encoding="utf-8")

    done = subprocess.run([sys.executable, "tour.py"], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    promised = re.findall(r"^ *print\(.*\)  # (.*)$", "\n".join(blocks), flags=re.MULTILINE)
    losses = re.findall(r"^loss: (\S+) before, (\S+) after\n", done.stdout, flags=re.MULTILINE)
    assert len(losses) == 2
    assert all(float(after) < float(before) / 2 for before, after in losses)
    assert [line for line in done.stdout.splitlines() if not line.startswith("loss: ")] == [
        comment for comment in promised if not comment.startswith("about ")
    ]
    assert (tmp_path / "encoder" / "tfhub_module.pb").read_bytes() == b"\x08\x03"
    assert (tmp_path / "encoder-tuned" / "tfhub_module.pb").read_bytes() == b"\x08\x03"


def test_the_table_has_every_public_name():
    named = re.findall(r"^\| `(\w+)", README, flags=re.MULTILINE)

    assert sorted(named) == sorted(hub.__all__)
