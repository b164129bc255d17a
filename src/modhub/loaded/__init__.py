"""The TF2 face: modules and SavedModels as objects that eager code and tf.functions call."""

from modhub.loaded.loaded_module import LoadedModule
from modhub.loaded.loading import load

__all__ = ["LoadedModule", "load"]
