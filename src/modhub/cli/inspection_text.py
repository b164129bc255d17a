"""What `modhub inspect` prints for people: sections of aligned columns, each line of which says all for `grep`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from modhub.cli.amounts import size_text
from modhub.cli.text import shown
from modhub.format.names import show_tags

if TYPE_CHECKING:
    from modhub.format.statistics import VariableStatistics
    from modhub.inspection.description import Inspection, SignatureDescription, VariableDescription, VariantDescription

__all__ = ["files_text", "inspection_text", "ops_text", "variables_text"]

# The cells of these columns are numbers, which are compared by their last digits.
_NUMBERS = frozenset({"elements", "bytes", "size", "nodes", "zeros", "NaN", "inf"})
_MOST_NAMES = 1


def inspection_text(inspection: Inspection, variants: Sequence[VariantDescription]) -> list[list[str]]:
    """Return sections of lines on the module as a whole, on some of its variants, and on its assets."""
    signatures = [
        (tags, signature.name, way, tensor.name, str(tensor), "may be left out" if tensor.optional else "")
        for tags, signatures in _alike(variants)
        for signature in signatures
        for way, tensors in (("input", signature.inputs), ("output", signature.outputs))
        for tensor in tensors
    ]
    assets = [
        (asset.name, "missing" if asset.bytes is None else f"{asset.bytes:,}", _users(asset.used_by))
        for asset in inspection.assets
    ]
    size = f"{size_text(inspection.bytes)} in {_counted(len(inspection.files), 'file')}"
    return [
        [f"{shown(inspection.handle)}: {inspection.format}, {size}"],
        _columns(("variant", "signature", "", "name", "type", "note"), signatures) or ["no signatures"],
        *map(_variant, variants),
        _columns(("asset", "bytes", "used by"), assets),
    ]


def _alike(variants: Sequence[VariantDescription]) -> list[tuple[str, tuple[SignatureDescription, ...]]]:
    """Return the signatures of the variants; what several variants have in common stands once, with the tags of all."""
    found: dict[tuple[object, ...], list[VariantDescription]] = {}
    for variant in variants:
        # By what is shown of them: names of tensors differ from graph to graph.
        key = tuple(
            [
                (signature.name, tensor.name, str(tensor), tensor.optional)
                for signature in variant.signatures
                for tensor in (*signature.inputs, *signature.outputs)
            ]
        )
        found.setdefault(key, []).append(variant)
    return [(" ".join([show_tags(variant.tags) for variant in alike]), alike[0].signatures) for alike in found.values()]


def _users(tags: Iterable[tuple[str, ...]]) -> str:
    return ", ".join(map(show_tags, tags)) or "no variant"


def _variant(variant: VariantDescription) -> list[str]:
    """Return the facts of a variant, one a line."""
    tags = show_tags(variant.tags)
    functions = ""
    if variant.functions:
        inner = _counted(sum(variant.functions.values()), "node")
        functions = f", and {_counted(len(variant.functions), 'function')} with {inner}"
    written = f"TensorFlow {variant.tensorflow_version}, " if variant.tensorflow_version else ""
    facts = [
        ("graph", _counted(sum(variant.ops.values()), "node") + functions),
        ("written by", f"{written}GraphDef version {variant.producer}, for readers from {variant.min_consumer}"),
        ("variables", f"{len(variant.variables)}, {len(variant.trainable)} trainable" if variant.variables else ""),
        ("regularization losses", _first(variant.regularization_losses)),
        ("update ops", _first(variant.update_ops)),
        ("assets", ", ".join(variant.assets)),
        ("collections", ", ".join(f"{name} {count}" for name, count in variant.collections.items())),
        *(
            (f"attachment {attachment.key}", _decoded(attachment.value, attachment.raw))
            for attachment in variant.attachments
        ),
    ]
    return _columns((), [(f"variant {tags}", key, value) for key, value in facts if value])


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _first(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return f"{len(names)}: {', '.join(names[:_MOST_NAMES])}{more}"


def _decoded(value: object, raw: bytes) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_decoded(each, raw)}" for key, each in value.items())
    if value is None:
        return f"{len(raw)} bytes, a message of the publisher's own type"
    return repr(value) if isinstance(value, str) else str(value)


def variables_text(
    inspection: Inspection, listed: Sequence[VariableDescription], stats: Mapping[str, VariableStatistics] | None
) -> list[str]:
    """Return a line of totals and a table of some variables, with statistics of their values where these are given."""
    every = inspection.variables
    if not every:
        return ["no variables"]
    trained = [variable for variable in every if variable.trainable]
    total = sum(variable.bytes for variable in every)
    lines = [
        f"{_counted(len(every), 'variable')}, {_counted(sum(variable.elements for variable in every), 'element')}, "
        f"{size_text(total)}; trainable: {len(trained):,}, "
        f"{_counted(sum(variable.elements for variable in trained), 'element')}, "
        f"{size_text(sum(variable.bytes for variable in trained))}"
    ]
    headers: tuple[str, ...] = ("variable", "dtype", "shape", "bytes", "note")
    if stats is not None:
        headers = (*headers[:4], "min", "max", "mean", "std", "zeros", "NaN", "inf", "note")
    rows = []
    for variable in listed:
        cells: tuple[str, ...] = (variable.name, variable.dtype, str(list(variable.shape)), f"{variable.bytes:,}")
        if stats is not None:
            cells += _statistics(stats[variable.name])
        rows.append((*cells, _note(variable)))
    lines += _columns(headers, rows)
    if len(listed) < len(every):
        lines.append(f"... and {len(every) - len(listed)} more, none larger: see --variables")
    return lines


def _note(variable: VariableDescription) -> str:
    notes = ["trainable"] if variable.trainable else []
    if variable.partitions:
        notes.append(f"{len(variable.partitions)} partitions")
    return ", ".join(notes)


def _statistics(found: VariableStatistics) -> tuple[str, ...]:
    from modhub.format.statistics import StringStatistics

    if isinstance(found, StringStatistics):
        return ("", "", "", "", f"{found.empty:,} empty", "", "")
    numbers = [
        "" if number is None else f"{number:.4g}" if isinstance(number, float) else str(number)
        for number in (found.minimum, found.maximum, found.mean, found.deviation)
    ]
    return (*numbers, f"{found.zeros:,}", f"{found.nans:,}", f"{found.infinities:,}")


def ops_text(variants: Sequence[VariantDescription]) -> list[str]:
    """Return how many nodes each op has, the most frequent first."""
    rows = [
        (show_tags(variant.tags), place, op, f"{count:,}")
        for variant in variants
        for place, ops in (("graph", variant.ops), ("functions", variant.function_ops))
        for op, count in sorted(ops.items(), key=lambda item: (-item[1], item[0]))
    ]
    return _columns(("variant", "in", "op", "nodes"), rows)


def files_text(files: Mapping[str, int]) -> list[str]:
    """Return the files with their sizes."""
    return _columns(("file", "bytes"), [(name, f"{size:,}") for name, size in files.items()])


def _columns(headers: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return rows as lines of aligned columns; columns without contents are left out, the last is not padded."""
    table = [[shown(cell) for cell in row] for row in rows]
    if not table:
        return []
    used = [index for index in range(len(table[0])) if any(row[index] for row in table)]
    lines = [[headers[index] for index in used]] if headers else []
    lines += [[row[index] for index in used] for row in table]
    right = [bool(headers) and headers[index] in _NUMBERS for index in used]
    widths = [max(len(line[at]) for line in lines) for at in range(len(used))]
    return [
        "  ".join(
            cell.rjust(width) if to_the_right else cell.ljust(width)
            for cell, width, to_the_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]
