"""What may happen to an archive on its way, and to the files of an entry."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

__all__ = ["damage_entry", "flip"]


def flip(data: bytes, draw: random.Random) -> bytes:
    """Flip some bits; data must not be empty."""
    broken = bytearray(data)
    for bit in draw.sample(range(8 * len(data)), min(draw.choice([1, 1, 1, 2, 8]), 8 * len(data))):
        broken[bit // 8] ^= 1 << bit % 8
    return bytes(broken)


def damage_entry(entry: Path, draw: random.Random) -> tuple[str, bool]:
    """Do one thing to one file of an entry, which may be its manifest.

    Returns:
      What it was; and whether only the digests can tell, as the file's time and size are as before.
    """
    path = draw.choice(sorted(path for path in entry.rglob("*") if path.is_file()))
    data = path.read_bytes()
    what = draw.choices(
        ["bits flipped", "cut", "lengthened", "removed", "replaced", "added", "bits rotten"], [9] + [1] * 6
    )[0]
    if what in ("bits flipped", "bits rotten") and data:
        before = path.stat()
        path.write_bytes(flip(data, draw))
        if what == "bits rotten":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif what == "cut":
        os.truncate(path, draw.randrange(len(data) + 1) if data else 0)
    elif what == "lengthened":
        path.write_bytes(data + draw.randbytes(draw.randint(1, 100)))
    elif what == "replaced":
        path.unlink()
        draw.choice([path.mkdir, lambda: path.symlink_to("/dev/null"), lambda: os.mkfifo(path)])()
    elif what == "added":
        (entry / draw.choice(["extra", "variables/extra"])).write_bytes(b"extra")
    elif what == "removed":
        path.unlink()
        if draw.random() < 0.3:
            shutil.rmtree(entry / "variables", ignore_errors=True)
    return what, what == "bits rotten"
