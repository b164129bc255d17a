"""What a user has set: from `configure`, the environment, and the configuration file. No TensorFlow."""

from modhub.settings.layers import configure, current
from modhub.settings.values import Settings

__all__ = ["Settings", "configure", "current"]
