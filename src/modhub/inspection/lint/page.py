"""The page of the documentation that lists the rules, written from the rules themselves."""

from __future__ import annotations

import textwrap

from modhub.inspection.lint.rules import MODULES, TF1, TF2, Rule
from modhub.inspection.lint.run import all_rules

__all__ = ["page"]

_START = """# Rules of `modhub lint`

`modhub lint PATH`, and `hub.lint(path)`, check a module against what the documentation promises to those who use
modules. TensorFlow is not needed, and no value of a variable is read. An error is what breaks callers; a warning is
to be looked at; a note tells what may well be meant so. To let a finding pass, say why:

    modhub lint ./module --ignore default-output-missing='two equal outputs'
    modhub lint ./module --ignore default-output-missing --reason 'two equal outputs'

The exit status is 1 when there are errors, with `--strict` also when there are warnings.

What is not checked: the values of images and of weights, what the documentation of a module says, and anything that
only running the graph tells, such as how a text module treats empty strings.

This page is written from the rules: `python -m modhub.inspection.lint.page > docs/lint.md`.
"""

_TOPICS = {
    "signatures": "Signatures",
    "signatures_image": "Common image signatures",
    "signatures_image_tasks": "Other image signatures",
    "signatures_text": "Text signatures",
    "fine_tuning": "Fine-tuning",
    "variants": "Variants",
    "randomness": "Random numbers",
    "ops": "Ops and collections",
    "paths": "Paths",
    "files": "Files",
    "archives": "Archives",
    "saved_models": "SavedModels",
}


def page() -> str:
    """Return the page, in Markdown."""
    parts, topic = [_START], ""
    for rule in all_rules().values():
        if rule.topic != topic:
            topic = rule.topic
            parts.append(f"## {_TOPICS[topic]}\n")
        parts.append(_section(rule))
    return "\n".join(parts)


def _section(rule: Rule) -> str:
    formats = {MODULES: "TF1 Hub modules", TF1: "TF1 Hub modules and TF1 SavedModels", TF2: "TF2 SavedModels"}
    items = {
        "Severity": rule.severity.value,
        "For": formats.get(rule.formats, _others(rule)),
        "Fix": rule.fix,
        "Source": rule.source,
    }
    listed = "\n".join(_wrapped(f"- {name}: {text}") for name, text in items.items())
    return f"### {rule.id}\n\n{rule.about}\n\n{listed}\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _others(rule: Rule) -> str:
    return "all formats" if len(rule.formats) > 1 else "".join(rule.formats) + "s"


if __name__ == "__main__":
    print(page(), end="")
