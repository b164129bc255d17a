"""What callers of a LoadedModule pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from modhub import errors
from modhub.authoring import ModuleSpec
from modhub.core import Variant, inputs_with_default

__all__ = ["as_bool", "given_by_name", "variants_for"]


def as_bool(training: Any) -> bool:
    """Return `training` as a bool; an eager tensor will do.

    Raises:
      InvalidArgumentError: it is a tensor whose value is not known yet, or none of True and False.
    """
    if training is None or isinstance(training, bool):
        return bool(training)
    value = tf.get_static_value(training) if isinstance(training, tf.Tensor) else training
    if value is None:
        raise errors.InvalidArgumentError(
            f"training={training!r} is not known while the function is traced: pass True or False, or write both calls "
            "in the branches of a tf.cond."
        )
    if not isinstance(value, bool | int | np.bool_ | np.integer | np.ndarray) or np.ndim(value):
        raise errors.InvalidArgumentError(
            f"training={training!r} is neither True nor False. Several inputs are passed as one dict, by name."
        )
    return bool(value)


def given_by_name(variant: Variant, name: str, inputs: Any) -> dict[str, Any] | None:
    """Return the inputs by name where some that have a default are left out; None where nothing is."""
    names = variant.signatures[name].inputs.keys()
    if isinstance(inputs, tf.Tensor):
        if len(names) == 1:
            return None
    elif isinstance(inputs, Mapping):
        if len(inputs) == len(names):
            return None
        left_out = names - inputs.keys()
        return dict(inputs) if left_out and left_out <= inputs_with_default(variant, name) else None
    if len(names) < 2:
        return None
    needed = names - inputs_with_default(variant, name)
    return {next(iter(needed)): inputs} if len(needed) == 1 else None


def variants_for(spec: ModuleSpec, tags: frozenset[str]) -> tuple[Variant, Variant]:
    """Return the variants for inference and for training: of the tags that were asked for, if any were."""
    description = spec.description
    known = {variant.tags: variant for variant in description}
    if tags:
        variant = description.variant(tags)
        return variant, variant
    if len(known) == 1:
        (variant,) = known.values()
        return variant, variant
    inference = description.variant(tags)
    return inference, known.get(frozenset({"train"}), inference)
