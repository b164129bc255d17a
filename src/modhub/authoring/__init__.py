"""Making modules: specs from functions, directories and SavedModels; what they declare; how they are published."""

from modhub.authoring.declarations import add_signature, attach_message
from modhub.authoring.define import create_module_spec
from modhub.authoring.images import (
    attach_image_module_info,
    get_expected_image_size,
    get_image_module_info,
    get_num_image_channels,
)
from modhub.authoring.load import (
    create_module_spec_from_saved_model,
    load_module_spec,
    module_spec_of,
    saved_model_as_it_is,
)
from modhub.authoring.publish import Value, publish, published_variant, write_values
from modhub.authoring.spec import ModuleSpec, attached_message

__all__ = [
    "ModuleSpec",
    "Value",
    "add_signature",
    "attach_image_module_info",
    "attach_message",
    "attached_message",
    "create_module_spec",
    "create_module_spec_from_saved_model",
    "get_expected_image_size",
    "get_image_module_info",
    "get_num_image_channels",
    "load_module_spec",
    "module_spec_of",
    "publish",
    "published_variant",
    "saved_model_as_it_is",
    "write_values",
]
