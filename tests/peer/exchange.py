"""What either side does with the constructions: publish them, and observe those that both sides published.

In the folder of the exchange, `<publisher>/<name>/` holds the exported `module`, what it computed in the session that
exported it as `session.npz`, and what each library observed in it as `seen by <reader>.npz` and `.json`. A step that
failed leaves `<step> failed.txt` with its traceback, and does not keep the others from running.
"""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.peer.construction import Call, Construction, Ragged, Sparse, control_flow_v1

__all__ = ["Observation", "compute_as_saved_model", "load_observation", "observe_all", "publish_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a library made of a published module: arrays to compare within a tolerance, and facts to compare as such."""

    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


def publish_all(hub: Any, tf: Any, constructions: Mapping[str, Construction], work: Path) -> None:
    """Export every construction with this library."""
    for name, construction in constructions.items():
        folder = work / hub.__name__ / name
        folder.mkdir(parents=True)
        with _noting_failure(folder / "publishing failed.txt"):
            publish(hub, tf, construction, folder)


def observe_all(hub: Any, tf: Any, constructions: Mapping[str, Construction], work: Path) -> None:
    """Observe with this library every construction that either library exported."""
    for publisher in sorted(work.iterdir()):
        for name, construction in constructions.items():
            module = publisher / name / "module"
            if module.exists():
                with _noting_failure(publisher / name / f"seeing by {hub.__name__} failed.txt"):
                    _save(observe(hub, tf, construction, module), publisher / name / f"seen by {hub.__name__}")


@contextlib.contextmanager
def _noting_failure(note: Path) -> Iterator[None]:
    try:
        yield
    except Exception:  # whatever went wrong is for the test of this construction to report
        note.write_text(traceback.format_exc())


def publish(hub: Any, tf: Any, construction: Construction, folder: Path) -> None:
    """Export the construction to `folder / "module"`, its weights no longer what the initializers gave.

    What it computed in the exporting session goes to `folder / "session.npz"`.
    """
    v1 = tf.compat.v1
    spec = construction.build(hub, tf, folder)
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(spec)
        outputs = {
            _key(index, call, name): value
            for index, call in enumerate(construction.calls)
            if not call.tags
            for name, value in _parts(tf, _apply(tf, module, call)[1]).items()
        }
        changes = [
            v1.assign(variable, variable * 0.75 + 0.125)
            for variable in module.variables
            if variable.dtype.base_dtype in {tf.float32, tf.float64}
        ]
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        session.run(changes)
        np.savez(folder / "session.npz", **{key: _plain(value) for key, value in session.run(outputs).items()})
        module.export(str(folder / "module"), session)


def observe(hub: Any, tf: Any, construction: Construction, path: Path) -> Observation:
    """Load a published module in every way that the construction lists."""
    spec = hub.load_module_spec(str(path))
    arrays: dict[str, np.ndarray] = {}
    facts: dict[str, Any] = {"variants": sorted(sorted(tags) for tags in spec.get_tags())}
    for tags in facts["variants"]:
        facts["/".join(["declared", *tags])] = _declared(spec, set(tags))
        facts["/".join(["attached", *tags])] = {
            key: str(spec.get_attached_message(key, kind(hub, tf), tags=set(tags)))
            for key, kind in construction.attachments.items()
        }
    # The gradients of a TensorArrayV3 assert under v2 control flow. modhub mends that, and has to do without.
    old = construction.loops_of_v1 and hub.__name__ == "tensorflow_hub"
    with control_flow_v1(tf) if old else contextlib.nullcontext():
        for index, call in enumerate(construction.calls):
            for key, value in _observe_call(hub, tf, str(path), call).items():
                kept = arrays if isinstance(value, np.ndarray) else facts
                kept[_key(index, call, key)] = value
    return Observation(arrays=arrays, facts=facts)


def compute_as_saved_model(tf: Any, construction: Construction, path: Path) -> dict[str, np.ndarray]:
    """Return what `tf.saved_model.load` makes of the calls without tags, keyed as in `session.npz`."""
    loaded = tf.saved_model.load(str(path), tags=[])
    computed: dict[str, np.ndarray] = {}
    for index, call in enumerate(construction.calls):
        if call.tags:
            continue
        signature = loaded.signatures[call.signature]
        outputs = signature(**_flat_inputs(tf, signature.structured_input_signature[1], call))
        computed.update({_key(index, call, name): _plain(part) for name, part in _parts(tf, outputs).items()})
    return computed


def _flat_inputs(tf: Any, declared: Mapping[str, Any], call: Call) -> dict[str, Any]:
    """Return the inputs by the names that TensorFlow 2 gives them: a composite's parts get a suffix each."""
    flat: dict[str, Any] = {}
    for name, value in call.inputs.items():
        if isinstance(value, Sparse):
            flat.update({f"{name}_{part}": getattr(value, part) for part in ("indices", "values", "dense_shape")})
        elif isinstance(value, Ragged):
            parts = tf.nest.flatten(tf.ragged.constant(value.rows), expand_composites=True)
            flat.update({f"{name}_component_{index}": part for index, part in enumerate(parts)})
        else:
            flat[name] = value
    return {name: tf.convert_to_tensor(value, declared[name].dtype) for name, value in flat.items()}


def _declared(spec: Any, tags: set[str]) -> dict[str, Any]:
    """Return what the spec says of the inputs and outputs of each signature of one variant."""

    def described(infos: Any) -> dict[str, list[Any]]:
        return {
            name: [info.dtype.name, str(info.get_shape()), info.is_sparse, type(info.type_spec).__name__]
            for name, info in sorted(infos.items())
        }

    return {
        name: [
            described(spec.get_input_info_dict(name, tags=tags)),
            described(spec.get_output_info_dict(name, tags=tags)),
        ]
        for name in sorted(spec.get_signature_names(tags=tags))
    }


def _observe_call(hub: Any, tf: Any, path: str, call: Call) -> dict[str, Any]:
    """Apply the module in a new graph, as one that trains it: outputs, gradients, losses, update ops, collections."""
    v1 = tf.compat.v1
    seen: dict[str, Any] = {}
    with tf.Graph().as_default() as graph, v1.Session() as session:
        module = hub.Module(path, trainable=True, tags=set(call.tags))
        keys = v1.GraphKeys
        state = (keys.GLOBAL_VARIABLES, keys.TRAINABLE_VARIABLES, keys.MODEL_VARIABLES, keys.TABLE_INITIALIZERS)
        for name in (*state, keys.REGULARIZATION_LOSSES):
            seen[f"collection {name}"] = len(graph.get_collection(name))
        assets = graph.get_collection(keys.ASSET_FILEPATHS)
        inputs, outputs = _apply(tf, module, call)
        seen[f"collection {keys.UPDATE_OPS}"] = len(graph.get_collection(keys.UPDATE_OPS))
        named = _named_variables(module)
        seen["variables"] = {name: variable.shape.as_list() for name, variable in named.items()}
        seen["trainable"] = [name for name, variable in named.items() if _among(variable, v1.trainable_variables())]

        parts = _parts(tf, outputs)
        targets = {**_parts(tf, inputs), **named} if call.differentiate else {}
        gradients = _gradients(tf, parts, {name: value for name, value in targets.items() if value.dtype.is_floating})
        seen["differentiable"] = sorted(gradients)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        losses = graph.get_collection(keys.REGULARIZATION_LOSSES)
        fetched = session.run({"outputs": parts, "gradients": gradients, "losses": losses, "variables": named})
        # What counts is which files: tensorflow_hub lists an asset again for every application of a nested module.
        seen["assets"] = sorted({Path(path.decode()).read_text() for path in session.run(assets)})
        session.run(graph.get_collection(keys.UPDATE_OPS))
        updated = session.run(named)
        seen["regularization losses"] = np.sort(np.asarray(fetched["losses"], np.float32))
        seen.update({name: _plain(value) for name, value in fetched["outputs"].items()})
        seen.update({f"gradient of {name}": _plain(value) for name, value in fetched["gradients"].items()})
        seen.update({f"value of {name}": _plain(value) for name, value in fetched["variables"].items()})
        seen.update({f"updated value of {name}": _plain(value) for name, value in updated.items()})
    return seen


def _named_variables(module: Any) -> dict[str, Any]:
    """Return the module's variables by their names in the module; the parts of a partitioned one with numbers."""
    named: dict[str, Any] = {}
    for name, value in sorted(module.variable_map.items()):
        if isinstance(value, list):
            named.update({f"{name} part {index}": part for index, part in enumerate(value)})
        else:
            named[name] = value
    return named


def _among(variable: Any, variables: list[Any]) -> bool:
    return any(variable is other for other in variables)


def _apply(tf: Any, module: Any, call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Apply the module; return its inputs as tensors, and its outputs."""
    infos = module.get_input_info_dict(signature=call.signature)
    inputs = {f"input {name}": _tensor(tf, value, infos[name].dtype) for name, value in call.inputs.items()}
    given = {name: inputs[f"input {name}"] for name in call.inputs}
    return inputs, module(given, signature=call.signature, as_dict=True)


def _tensor(tf: Any, value: Any, dtype: Any) -> Any:
    if isinstance(value, Sparse):
        return tf.SparseTensor(value.indices, tf.constant(value.values, dtype), value.dense_shape)
    if isinstance(value, Ragged):
        return tf.ragged.constant(value.rows, dtype)
    return tf.constant(value, dtype)


def _parts(tf: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Replace composite tensors by the tensors they are made of."""
    return {
        name if len(parts) == 1 else f"{name} part {index}": part
        for name, value in values.items()
        for parts in [tf.nest.flatten(value, expand_composites=True)]
        for index, part in enumerate(parts)
    }


def _gradients(tf: Any, outputs: dict[str, Any], targets: dict[str, Any]) -> dict[str, Any]:
    """Differentiate the sum of the squares of all float outputs, by every target that it depends on."""
    # In float32 whatever the output: a sum in half precision would be too coarse to compare.
    squares = [
        tf.reduce_sum(tf.square(tf.cast(value, tf.float32))) for value in outputs.values() if value.dtype.is_floating
    ]
    found = tf.compat.v1.gradients(squares, list(targets.values())) if squares else []
    return {
        name: tf.convert_to_tensor(gradient)
        for name, gradient in zip(targets, found, strict=False)
        if gradient is not None
    }


def _plain(value: Any) -> np.ndarray:
    """Return an array that an npz file can hold without pickle: no bfloat16, no objects."""
    array = np.asarray(value)
    if array.dtype == object:
        return array.astype(np.bytes_)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _key(index: int, call: Call, name: str) -> str:
    return "|".join([str(index), "+".join(call.tags), call.signature, name])


def _save(observation: Observation, stem: Path) -> None:
    np.savez(stem.with_suffix(".npz"), **observation.arrays)
    stem.with_suffix(".json").write_text(json.dumps(observation.facts, indent=1, sort_keys=True))


def load_observation(stem: Path) -> Observation:
    """Read the observation whose files are `stem` with `.npz` and `.json`."""
    with np.load(stem.with_suffix(".npz")) as arrays:
        return Observation(arrays=dict(arrays), facts=json.loads(stem.with_suffix(".json").read_text()))
