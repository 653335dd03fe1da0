"""Password hashes: argon2id in a few threads, so that log-ins cannot take the whole machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from subgraphs.kit.errors import Unavailable
from subgraphs.users.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


class PasswordPool:
    """Hashes and verifies. Raises Unavailable when too many wait already."""

    def __init__(self, settings: Settings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_passes, memory_cost=settings.argon2_memory_kib, parallelism=1
        )
        self._threads = ThreadPoolExecutor(settings.hash_threads, thread_name_prefix="argon2")
        self._room = settings.hash_threads + settings.hash_queue
        self._nobodys = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """The hash of a (normalised) password, with its salt and parameters."""
        return await self._run(self._hasher.hash, password)

    async def verify(self, hash: str | None, password: str) -> bool:
        """Whether the password is the hash's. Without a hash it takes the same time and is false."""
        matches = await self._run(self._matches, hash or self._nobodys, password)
        return matches and hash is not None

    def is_outdated(self, hash: str) -> bool:
        """Whether the hash was made with other parameters than the present ones."""
        return self._hasher.check_needs_rehash(hash)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        if not self._room:
            raise Unavailable("Too many log-ins at once. Try again in a moment.")
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *arguments, **named))
        finally:
            self._room += 1
