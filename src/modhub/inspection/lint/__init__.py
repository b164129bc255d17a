"""Checks of a module against the documentation's promises to those who use it, without TensorFlow."""

from modhub.inspection.lint.report import LintReport
from modhub.inspection.lint.run import all_rules, check_ignore, lint

__all__ = ["LintReport", "all_rules", "check_ignore", "lint"]
