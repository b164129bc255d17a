"""What Estimator asks of `tensorflow.python.distribute.estimator_training`, for training in one process.

It is asked only where a RunConfig has a strategy. Training in several processes without a strategy (TF_CONFIG with "ps"
and "worker") is Estimator's own, and does not come here.
"""

from __future__ import annotations

from typing import Any, NoReturn

from modhub import errors

__all__ = [
    "estimator_evaluate",
    "estimator_train",
    "init_run_config",
    "should_run_distribute_coordinator",
    "train_and_evaluate",
]


def init_run_config(config: Any, tf_config: dict[str, Any]) -> None:
    """Complete a RunConfig that has a strategy.

    Args:
      config: the RunConfig.
      tf_config: what the environment variable TF_CONFIG says.

    Raises:
      InvalidArgumentError: a strategy is given twice.
      GraphError: the strategy is to span several processes.
    """
    experimental = config._experimental_distribute
    for name in ("train_distribute", "eval_distribute"):
        strategy = getattr(experimental, name, None)
        if strategy is None:
            continue
        if getattr(config, f"_{name}") is not None:
            raise errors.InvalidArgumentError(
                f"RunConfig has a strategy in {name} and another in experimental_distribute.{name}: give one of them."
            )
        setattr(config, f"_{name}", strategy)
    cluster = tf_config.get("cluster") or {}
    coordinated = cluster and "master" not in cluster and config._train_distribute
    if coordinated or getattr(experimental, "remote_cluster", None):
        _refuse()
    config._distribute_coordinator_mode = None
    config._init_distributed_setting_from_environment_var(tf_config)
    config._maybe_overwrite_session_config_for_distributed_training()


def should_run_distribute_coordinator(config: Any) -> bool:
    """Return False: `init_run_config` has refused whatever would need it."""
    return False


def train_and_evaluate(*args: object) -> NoReturn:
    """Refuse: see `should_run_distribute_coordinator`."""
    _refuse()


def estimator_train(*args: object) -> NoReturn:
    """Refuse: see `should_run_distribute_coordinator`."""
    _refuse()


def estimator_evaluate(*args: object) -> NoReturn:
    """Refuse: see `should_run_distribute_coordinator`."""
    _refuse()


def _refuse() -> NoReturn:
    raise errors.GraphError(
        "Estimator trains with a tf.distribute strategy in one process only (MirroredStrategy, OneDeviceStrategy): its "
        "coordinator of several processes is not in this TensorFlow. Leave the cluster out of TF_CONFIG and of "
        "experimental_distribute, or leave out the strategy: workers and parameter servers of TF_CONFIG train without."
    )
