"""Plan, state, apply: a signature is a pure program, and graphs host it."""

from modhub.core._tensorflow import ReusableModule, keyword_function
from modhub.core.apply import Applied, apply_plan, check_graph
from modhub.core.description import ModuleDescription, Variant, as_tag_set, set_attachments
from modhub.core.eager_call import SingleCall, call_plan, check_eager, single_call, traced_for_saving
from modhub.core.eager_state import EagerState, VariableMaker, create_eager_state, make_variable
from modhub.core.freezing import is_frozen, pause, resume, set_frozen
from modhub.core.graph import index_variant, is_state_op
from modhub.core.inputs import convert_inputs
from modhub.core.plan import SignaturePlan, inputs_with_default, plan_losses, plan_signature, plan_tensors
from modhub.core.save import save_variables
from modhub.core.scope import paused_collection, state_graph, unique_scope
from modhub.core.state import GraphState, create_state
from modhub.core.tensor_info import (
    ParsedTensorInfo,
    describe_tensor,
    from_components,
    parse,
    tensor_names,
    to_components,
)
from modhub.core.tensorflow_errors import blame_module, cause_in_graph, tensorflow_classes
from modhub.format.names import node_of, show_tags, tensor_count

__all__ = [
    "Applied",
    "EagerState",
    "GraphState",
    "ModuleDescription",
    "ParsedTensorInfo",
    "ReusableModule",
    "SignaturePlan",
    "SingleCall",
    "VariableMaker",
    "Variant",
    "apply_plan",
    "as_tag_set",
    "blame_module",
    "call_plan",
    "cause_in_graph",
    "check_eager",
    "check_graph",
    "convert_inputs",
    "create_eager_state",
    "create_state",
    "describe_tensor",
    "from_components",
    "index_variant",
    "inputs_with_default",
    "is_frozen",
    "is_state_op",
    "keyword_function",
    "make_variable",
    "node_of",
    "parse",
    "pause",
    "paused_collection",
    "plan_losses",
    "plan_signature",
    "plan_tensors",
    "resume",
    "save_variables",
    "set_attachments",
    "set_frozen",
    "show_tags",
    "single_call",
    "state_graph",
    "tensor_count",
    "tensor_names",
    "tensorflow_classes",
    "to_components",
    "traced_for_saving",
    "unique_scope",
]
