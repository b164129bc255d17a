"""`modhub inspect`: what is in a module."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from modhub.cli.group import Command
from modhub.cli.json_output import print_json

if TYPE_CHECKING:
    from modhub.format.statistics import VariableStatistics
    from modhub.inspection.description import Inspection, VariantDescription

__all__ = ["command"]

_EXAMPLES = """
modhub inspect ./module
modhub inspect ./module.tar.gz --variables --stats
modhub inspect ./module --tags train --signature default
modhub inspect ./module --ops | grep MatMul
modhub inspect ./module --json | jq '.variables[] | select(.trainable)'
"""


@click.command("inspect", cls=Command, examples=_EXAMPLES)
@click.argument("handle", type=click.Path(readable=False))
@click.option("--tags", metavar="a,b", help='Only the graph variant with these tags; "" is the one without any.')
@click.option("--signature", "-s", metavar="NAME", help="Only this signature.")
@click.option("--variables", "all_variables", is_flag=True, help="List all variables, by name, not only the largest.")
@click.option(
    "--top",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="List the N largest ones.",
)
@click.option("--stats", is_flag=True, help="Read the listed variables: range, mean, deviation, zeros, NaN, inf.")
@click.option("--ops", is_flag=True, help="Count the nodes by op.")
@click.option("--files", is_flag=True, help="List the files.")
@click.option("--snippet/--no-snippet", default=True, show_default=True, help="Print code that uses the module.")
@click.option("--json", "in_json", is_flag=True, help="Print everything as JSON; only --stats has to be asked for.")
def command(
    handle: str,
    tags: str | None,
    signature: str | None,
    all_variables: bool,
    top: int,
    stats: bool,
    ops: bool,
    files: bool,
    snippet: bool,
    in_json: bool,
) -> None:
    """Describe the module HANDLE: a directory, or a .tar or .tar.gz file.

    It may be a TF1 Hub module, a TF1 SavedModel or a TF2 SavedModel. TensorFlow is not needed, no code of the module
    is run, and the values of variables are read only for --stats.
    """
    from modhub.inspection.inspect import inspect

    found = inspect(handle)
    variants = _chosen(found, tags, signature)
    listed = found.variables
    if not in_json and not all_variables:
        listed = tuple(sorted(listed, key=lambda variable: (-variable.bytes, variable.name))[:top])
    statistics = _statistics(found, [variable.name for variable in listed]) if stats else None
    if in_json:
        print_json(_as_plain(found, variants, statistics, _snippets(found, variants, tags, signature)))
        return

    from modhub.cli.inspection_text import files_text, inspection_text, ops_text, variables_text
    from modhub.cli.text import shown

    sections = [*inspection_text(found, variants), variables_text(found, listed, statistics)]
    if ops:
        sections.append(ops_text(variants))
    if files:
        sections.append(files_text(found.files))
    if snippet:
        codes = _snippets(found, variants, tags, signature)
        sections += [[f"# {way}", *map(shown, code.splitlines())] for way, code in codes.items()]
        if not codes:
            sections.append(["# There is no code to copy for it. An archive has to be unpacked first."])
    click.echo("\n\n".join(["\n".join(lines) for lines in sections if lines]))


def _chosen(found: Inspection, tags: str | None, signature: str | None) -> tuple[VariantDescription, ...]:
    """Return the variants that are asked for, with the signatures that are."""
    variants = tuple(sorted(found.variants, key=lambda variant: variant.tags))
    if tags is not None:
        variants = (found.variant(*_split(tags)),)
    if signature is None:
        return variants
    having = [variant for variant in variants if any(each.name == signature for each in variant.signatures)]
    # Where none has it, the first one says which there are.
    return tuple(
        [dataclasses.replace(variant, signatures=(variant.signature(signature),)) for variant in having or variants[:1]]
    )


def _split(tags: str) -> list[str]:
    return [tag.strip() for tag in tags.split(",") if tag.strip()]


def _snippets(
    found: Inspection, variants: Sequence[VariantDescription], tags: str | None, signature: str | None
) -> Mapping[str, str]:
    from modhub.inspection.snippets import snippets

    if tags is None and signature is None:
        return snippets(found)
    return snippets(found, variants[0].tags if tags is None else _split(tags), signature)


def _statistics(found: Inspection, names: Sequence[str]) -> Mapping[str, VariableStatistics]:
    from modhub.format.statistics import statistics

    return {name: statistics(value) for name, value in found.read_variables(names)}


def _as_plain(
    found: Inspection,
    variants: Sequence[VariantDescription],
    statistics: Mapping[str, VariableStatistics] | None,
    snippets: Mapping[str, str],
) -> dict[str, Any]:
    """Return what --json prints."""
    return {
        "handle": found.handle,
        "format": found.format,
        "bytes": found.bytes,
        "variants": [_variant(variant) for variant in variants],
        "variables": [
            {**_fields(variable), "elements": variable.elements}
            | ({} if statistics is None else {"statistics": _fields(statistics[variable.name])})
            for variable in found.variables
        ],
        "assets": found.assets,
        "files": found.files,
        "snippets": snippets,
    }


def _variant(variant: VariantDescription) -> dict[str, Any]:
    # Always base64: whether bytes are text is chance, and a reader of JSON should not have to look.
    attachments = [
        {**_fields(attachment), "raw": base64.b64encode(attachment.raw).decode()} for attachment in variant.attachments
    ]
    return {**_fields(variant), "attachments": attachments}


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
