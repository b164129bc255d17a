"""v1's loops, conditionals and TensorArrays rebuilt as those of TensorFlow 2, for where a part goes into a function."""

from modhub.core.control_flow.functional import import_functional, needs_functions
from modhub.core.control_flow.membership import NotFunctionalError

__all__ = ["NotFunctionalError", "import_functional", "needs_functions"]
