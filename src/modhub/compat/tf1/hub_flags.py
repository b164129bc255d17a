"""define_hub_flags: the options that every script had which imported tensorflow_hub, such as --tfhub_cache_dir."""

from __future__ import annotations

import os
from typing import Any

from absl import flags

from modhub.settings import configure

__all__ = ["define_hub_flags"]

# By flag: the variable of the environment that goes before it, the setting of modhub, and what the flag is for.
_FLAGS = {
    "tfhub_cache_dir": ("TFHUB_CACHE_DIR", "cache_dir", "Where modules are kept that were fetched."),
    "tfhub_model_load_format": ("TFHUB_MODEL_LOAD_FORMAT", "load_format", "AUTO, COMPRESSED or UNCOMPRESSED."),
}


class _Setting(flags.ArgumentParser):  # type: ignore[type-arg]  # generic in newer versions only
    """Makes the value of a flag that of a setting, when the command line is parsed."""

    def __init__(self, variable: str, setting: str) -> None:
        super().__init__()
        self._variable, self._setting = variable, setting

    def parse(self, argument: Any) -> Any:
        if argument and not os.environ.get(self._variable):
            configure(**{self._setting: argument})
        return argument


def define_hub_flags() -> None:
    """Define the flags of tensorflow_hub, unless they are defined."""
    for flag, (variable, setting, purpose) in _FLAGS.items():
        if flag not in flags.FLAGS:
            flags.DEFINE(_Setting(variable, setting), flag, None, purpose)
