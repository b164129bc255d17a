"""Plan, state, apply: a signature is a pure program, and graphs host it."""

from modhub.core.apply import Applied, apply_plan, check_graph
from modhub.core.description import ModuleDescription, Variant, as_tag_set, set_attachments, show_tags
from modhub.core.graph import index_variant, is_state_op
from modhub.core.inputs import convert_inputs
from modhub.core.names import node_of
from modhub.core.plan import SignaturePlan, plan_signature
from modhub.core.save import save_variables
from modhub.core.scope import paused_collection, state_graph, unique_scope
from modhub.core.state import GraphState, create_state
from modhub.core.tensor_info import ParsedTensorInfo, describe_tensor, parse, to_components
from modhub.core.tensorflow_errors import blame_module, tensorflow_classes

__all__ = [
    "Applied",
    "GraphState",
    "ModuleDescription",
    "ParsedTensorInfo",
    "SignaturePlan",
    "Variant",
    "apply_plan",
    "as_tag_set",
    "blame_module",
    "check_graph",
    "convert_inputs",
    "create_state",
    "describe_tensor",
    "index_variant",
    "is_state_op",
    "node_of",
    "parse",
    "paused_collection",
    "plan_signature",
    "save_variables",
    "set_attachments",
    "show_tags",
    "state_graph",
    "tensorflow_classes",
    "to_components",
    "unique_scope",
]
