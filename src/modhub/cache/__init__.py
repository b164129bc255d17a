"""The cache of modules that were fetched: `hub.cache`. No TensorFlow, no network.

    hub.cache.entries()                        what is in it
    hub.cache.verify()                         every byte of it, against the digests
    hub.cache.gc(max_size=10 * 2**30)          what was not used for longest goes

The directory is shared with tensorflow_hub: each reads what the other wrote.
"""

from modhub.cache.listing import Collected, Entry, Verified, directory, entries, gc, info, remove, verify
from modhub.cache.transfer import export, import_archive

__all__ = [
    "Collected",
    "Entry",
    "Verified",
    "directory",
    "entries",
    "export",
    "gc",
    "import_archive",
    "info",
    "remove",
    "verify",
]
