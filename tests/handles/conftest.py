"""The server and the cache of the tests of `tests/cache`."""

from tests.cache.conftest import cache_dir, offline, publisher, running

__all__ = ["cache_dir", "offline", "publisher", "running"]
