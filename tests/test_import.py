import subprocess
import sys

import pytest

import modhub as hub

PUBLIC = [
    "ImageModuleInfo",
    "KerasLayer",
    "LoadedModule",
    "Module",
    "ModuleExportCallback",
    "ModuleExportHook",
    "ModuleSpec",
    "__version__",
    "add_signature",
    "attach_image_module_info",
    "attach_message",
    "cache",
    "compat",
    "configure",
    "create_module_spec",
    "create_module_spec_from_saved_model",
    "diff",
    "errors",
    "eval_function_for_module",
    "export_latest",
    "export_module",
    "export_text_embeddings",
    "get_expected_image_size",
    "get_num_image_channels",
    "image_embedding_column",
    "inspect",
    "lint",
    "load",
    "load_module_spec",
    "register_module_for_export",
    "resolve",
    "scan",
    "sparse_text_embedding_column",
    "text_embedding_column",
    "text_embedding_column_v2",
]
WITHOUT_TENSORFLOW = [
    "ImageModuleInfo",
    "__version__",
    "cache",
    "compat",
    "configure",
    "diff",
    "errors",
    "export_text_embeddings",
    "inspect",
    "lint",
    "resolve",
    "scan",
]

# As where a package is not installed.
HIDE = """
import sys

class Hide:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hide)
"""


def run(code, *, hidden=()):
    """Run the code in a fresh interpreter, in which the hidden packages are not installed."""
    script = HIDE.format(hidden=tuple(hidden)) + code
    return subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)


def test_import_brings_nothing_heavy():
    done = run("import modhub; print(*sorted(sys.modules), sep='\\n')")

    assert done.returncode == 0, done.stderr
    heavy = {"crc32c", "google.protobuf", "keras", "numpy", "tensorflow", "tf_keras"}
    assert heavy.isdisjoint(done.stdout.split())


def test_the_public_names_are_pinned():
    assert hub.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(hub))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there(name):
    assert getattr(hub, name) is getattr(hub, name)


def test_a_star_import_gives_the_public_names():
    names = {}
    exec("from modhub import *", names)

    assert set(names) - {"__builtins__"} == set(PUBLIC)


@pytest.mark.parametrize("name", ["Modules", "add_signatures"])
def test_a_misspelt_name_gets_a_suggestion(name):
    with pytest.raises(AttributeError, match=r"Known names: .*'configure', .*\. Did you mean '\w+'\?$"):
        getattr(hub, name)


def test_the_name_that_needs_estimator_is_there_and_left_out_of_a_star_import():
    assert "LatestModuleExporter" in dir(hub)
    assert hub.LatestModuleExporter is hub.LatestModuleExporter
    assert "LatestModuleExporter" not in hub.__all__


def test_without_estimator_one_line_says_what_to_install():
    done = run("sys.modules['tensorflow_estimator'] = None; import modhub; modhub.LatestModuleExporter")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("pip install 'modhub[estimator]'.")


def test_without_estimator_a_star_import_works():
    done = run("sys.modules['tensorflow_estimator'] = None; from modhub import *; KerasLayer")

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [*sorted(set(PUBLIC) - set(WITHOUT_TENSORFLOW)), "LatestModuleExporter"])
def test_without_tensorflow_one_line_says_what_to_install(name):
    done = run(f"import modhub; modhub.{name}", hidden=["tensorflow", "keras"])

    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: modhub.{name} needs TensorFlow, which is not installed: pip install 'modhub[tf]' "
        "(or 'modhub[cpu]', which is smaller and leaves out the GPU)"
    )


@pytest.mark.parametrize("name", WITHOUT_TENSORFLOW)
def test_without_tensorflow_the_rest_is_there(name):
    done = run(f"import modhub; modhub.{name}", hidden=["tensorflow", "keras"])

    assert done.returncode == 0, done.stderr


def test_a_package_other_than_tensorflow_is_reported_as_it_is():
    done = run("import modhub; modhub.ImageModuleInfo", hidden=["google"])

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: No module named 'google")
