"""Writes the values that a module has before any training: those that its variables' initializers give."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from modhub import errors
from modhub.core import ModuleDescription, Variant, create_state, paused_collection, save_variables, unique_scope

__all__ = ["write_initial_values"]


def write_initial_values(description: ModuleDescription, variant: Variant, prefix: Path) -> None:
    """Write a checkpoint of what a variant's initializers give, in a graph and a session of their own.

    Args:
      description: the module.
      variant: one of its variants, with variables.
      prefix: of the checkpoint; its directory exists.

    Raises:
      ExportError: an initializer fails, for instance because it needs a value that is fed.
    """
    v1 = tf.compat.v1
    # The processor will do, and a session that saw a GPU would take its memory for as long as the process lives.
    config = v1.ConfigProto(device_count={"GPU": 0})
    with paused_collection(), tf.Graph().as_default() as graph, v1.Session(graph=graph, config=config) as session:
        with unique_scope(graph, "module") as scope:
            state = create_state(description, variant, scope, trainable=False)
        try:
            session.run(v1.tables_initializer())  # first: an initial value may be looked up
            session.run(v1.global_variables_initializer())
            written = save_variables(state, session, prefix)
        except tf.errors.OpError as error:
            raise errors.ExportError(
                f"The initial values of {variant.where} cannot be computed: {error.message}. "
                "Give the values with checkpoint_path=, or use hub.Module(spec).export(path, session)."
            ) from error
        if not written:
            raise errors.ExportError(f"The initial values of {variant.where} were not written to {prefix.parent}.")
