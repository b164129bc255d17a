"""The exception tree of modhub, and the wording that its messages share.

    ModhubError
    ├── HandleNotFoundError        (FileNotFoundError)      the handle names nothing
    ├── DownloadError              (OSError)                what a URL names could not be fetched
    │   └── OfflineError                                    it is not in the cache, and nothing may be fetched
    ├── CacheError                 (OSError)                the cache directory cannot be used
    ├── MissingDependencyError     (ImportError)            a package that some handles need is not installed
    ├── ModuleFormatError          (ValueError)             what a directory holds is not usable
    │   ├── NotAModuleError        (FileNotFoundError)      a file of the format is missing
    │   ├── UnsupportedFormatError                          written by a format that this version does not know
    │   ├── CorruptModuleError     (OSError)                truncated, altered, or inconsistent files
    │   │   └── DigestMismatchError                         not the module whose digest was asked for
    │   ├── MissingAssetError      (FileNotFoundError)      an asset that the graph names is not there
    │   └── UnknownOpError         (LookupError)            an op that this TensorFlow does not know
    ├── ModuleDefinitionError      (ValueError)             a module_fn, or what it declares, is at fault
    │   └── DefinitionScopeError   (RuntimeError)           a declaration made outside any module_fn
    ├── UnknownVariantError        (ValueError, KeyError)   no graph variant has these tags
    ├── UnknownSignatureError      (ValueError, KeyError)   no such signature
    ├── UnknownOutputError         (TypeError, KeyError)    no such output
    ├── UnknownInputError          (ValueError, KeyError)   no such input
    ├── UnknownVariableError       (ValueError, KeyError)   no such variable
    ├── MissingAttachmentError     (KeyError)               no message attached under this key
    ├── InvalidInputError          (TypeError, ValueError)  inputs that the signature does not take
    ├── InvalidArgumentError       (TypeError, ValueError)  an argument of a modhub call is at fault
    ├── GraphError                 (RuntimeError)           the wrong graph, session or mode
    ├── UntrustedModuleError       (PermissionError)        a module from afar holds what a scan refuses
    ├── NotCoveredError                                     a name of old libraries that modhub has nothing for
    │   ├── NotCoveredNameError    (AttributeError)         asked for as an attribute
    │   └── NotCoveredImportError  (ModuleNotFoundError)    asked for by an import
    └── ExportError                (RuntimeError)           a module that could not be written
        ├── ExportExistsError      (FileExistsError)        the target is there already
        ├── UninitializedError                              a variable has no value yet
        └── CheckpointError        (ValueError)             the checkpoint does not fit the module

Each concrete class also inherits the builtin that code written for tensorflow_hub catches. Where that code
catches a class of `tf.errors`, the TensorFlow side raises a subclass that inherits it too
(`modhub.core.tensorflow_errors`); this file stays importable without TensorFlow.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

__all__ = [
    "CacheError",
    "CheckpointError",
    "CorruptModuleError",
    "DefinitionScopeError",
    "DigestMismatchError",
    "DownloadError",
    "ExportError",
    "ExportExistsError",
    "GraphError",
    "HandleNotFoundError",
    "InvalidArgumentError",
    "InvalidInputError",
    "MissingAssetError",
    "MissingAttachmentError",
    "MissingDependencyError",
    "ModhubError",
    "ModuleDefinitionError",
    "ModuleFormatError",
    "NotAModuleError",
    "NotCoveredError",
    "NotCoveredImportError",
    "NotCoveredNameError",
    "OfflineError",
    "UninitializedError",
    "UnknownInputError",
    "UnknownOpError",
    "UnknownOutputError",
    "UnknownSignatureError",
    "UnknownVariableError",
    "UnknownVariantError",
    "UnsafeModuleWarning",
    "UnsupportedFormatError",
    "UntrustedModuleError",
    "accepted",
]


class ModhubError(Exception):
    """Base of every error that modhub raises on purpose."""

    # AutoGraph makes another class of an error that leaves a function it converts, but for those that have this.
    ag_pass_through = True

    def __init__(self, message: str) -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        """What happened, where, and what to do."""
        return str(self.args[0])

    # KeyError would show the repr of its argument, and OSError a tuple.
    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type[ModhubError], tuple[object, ...]]:
        return type(self), (self.message,)


class HandleNotFoundError(ModhubError, FileNotFoundError):
    """A handle that names nothing that exists."""


class DownloadError(ModhubError, OSError):
    """A URL that could not be fetched; what is in the cache is as it was.

    Attributes:
      url: what was asked for last, without credentials; "" where it did not come to that.
      status: of HTTP; None where there was no answer.
    """

    def __init__(self, message: str, url: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.url = url
        self.status = status

    def __reduce__(self) -> tuple[type[ModhubError], tuple[object, ...]]:
        return type(self), (self.message, self.url, self.status)


class OfflineError(DownloadError):
    """A module that is not in the cache, asked for while nothing may be fetched."""


class CacheError(ModhubError, OSError):
    """A cache directory that cannot be used: it cannot be written, is full, or is no directory."""


class MissingDependencyError(ModhubError, ImportError):
    """A package that handles of some kind need, and that is not installed."""


class ModuleFormatError(ModhubError, ValueError):
    """A directory whose contents cannot be used as a module."""


class NotAModuleError(ModuleFormatError, FileNotFoundError):
    """A directory that lacks a file which every module has."""


class UnsupportedFormatError(ModuleFormatError):
    """A module written in a format, or with features, that this version does not know."""


class CorruptModuleError(ModuleFormatError, OSError):
    """Files that are truncated, altered, or contradict each other."""


class DigestMismatchError(CorruptModuleError):
    """A module that is not the one whose digest was asked for, by the handle or by a lock file."""


class MissingAssetError(ModuleFormatError, FileNotFoundError):
    """An asset that the graph names and the directory lacks."""


class UnknownOpError(ModuleFormatError, LookupError):
    """An op that the running TensorFlow does not know."""


class ModuleDefinitionError(ModhubError, ValueError):
    """A module_fn, or a declaration made in one, that cannot become a module."""


class DefinitionScopeError(ModuleDefinitionError, RuntimeError):
    """A declaration such as add_signature made where no module is being defined."""


class UnknownVariantError(ModhubError, ValueError, KeyError):
    """A tag set for which the module has no graph variant."""


class UnknownSignatureError(ModhubError, ValueError, KeyError):
    """A signature that the graph variant lacks."""


class UnknownOutputError(ModhubError, TypeError, KeyError):
    """An output that the signature lacks."""


class UnknownInputError(ModhubError, ValueError, KeyError):
    """An input that the signature lacks."""


class UnknownVariableError(ModhubError, ValueError, KeyError):
    """A variable that the module lacks."""


class MissingAttachmentError(ModhubError, KeyError):
    """A required attachment that the graph variant lacks."""


class InvalidInputError(ModhubError, TypeError, ValueError):
    """Inputs that the signature does not take."""


class InvalidArgumentError(ModhubError, TypeError, ValueError):
    """An argument of a modhub function that is of the wrong kind."""


class GraphError(ModhubError, RuntimeError):
    """A call in the wrong graph, session or execution mode."""


class UntrustedModuleError(ModhubError, PermissionError):
    """A module from a URL that holds what a scan refuses, loaded without `trust=True`."""


class NotCoveredError(ModhubError):
    """A name of TensorFlow 1 or of tensorflow_hub for which `modhub.compat` has nothing."""


# Two classes, because Python lets none be both an AttributeError and an ImportError.
class NotCoveredNameError(NotCoveredError, AttributeError):
    """Such a name, asked for as an attribute: `tf.contrib.name`."""


class NotCoveredImportError(NotCoveredError, ModuleNotFoundError):
    """Such a name, asked for by an import: `from tensorflow.contrib import name`."""


class UnsafeModuleWarning(UserWarning):
    """A module from a local path that holds what a scan refuses."""


class ExportError(ModhubError, RuntimeError):
    """A module that could not be written; nothing is left at the target."""


class ExportExistsError(ExportError, FileExistsError):
    """An export to a path that exists; it is left as it was."""


class UninitializedError(ExportError):
    """An export of a variable that no initializer has given a value."""


class CheckpointError(ExportError, ValueError):
    """A checkpoint that does not hold what the module needs."""


_MOST_LISTED = 20


def accepted(given: object, known: Iterable[object], what: str, show: Callable[[str], str] = repr) -> str:
    """Return a sentence that lists what is accepted, with the nearest match to what was given.

    Args:
      given: what the caller passed.
      known: the accepted values.
      what: their noun, in the plural ("signatures").
      show: turns a value's text into what is shown.

    Returns:
      For example "Known signatures: 'default', 'tokens'. Did you mean 'tokens'?".
    """
    names = sorted(str(name) for name in known)
    listed = ", ".join(map(show, names[:_MOST_LISTED])) or "none"
    if len(names) > _MOST_LISTED:
        listed += f", ... ({len(names)} in all)"
    near = difflib.get_close_matches(str(given), names, n=1)
    hint = f" Did you mean {show(near[0])}?" if near else ""
    return f"Known {what}: {listed}.{hint}"
