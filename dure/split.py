"""``dure up --split``: every part a process of its own, started, watched and stopped together."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import aiohttp

from db.waiting import until
from dure import demo_data, subgraphs
from dure.databases import migrate, until_told
from dure.errors import StartError
from dure.parts import url_of
from dure.progress import console, step
from dure.serve import address
from dure.settings import Settings

STOP_SECONDS = 8
READY_SECONDS = 90
SETTLED_SECONDS = 60
ROUTER = ("part", "router")


async def run(settings: Settings, announce: Callable[[], None]) -> None:
    """Migrate, load demo data, start all parts, restart one that dies; stop them all when told to.

    Raises StartError without servers to share: parts in processes of their own cannot use in-process ones.
    """
    if not settings.broker_url:
        raise StartError("--split needs RabbitMQ: set DURE_BROKER_URL (and DURE_DATABASE_URL, DURE_REDIS_URL)")
    await migrate(settings)
    loaded = settings.loads_demo_data and await demo_data.load(settings)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    # The payment workers reach the provider where this process puts it, unless a real one is configured.
    os.environ.setdefault("DURE_PAYMENTS_PROVIDER_URL", f"http://127.0.0.1:{settings.provider_port}")
    parts = [Part(command, stopping) for command in commands()]
    router = Part(ROUTER, stopping)
    tasks = [asyncio.create_task(part.keep_running()) for part in parts]
    try:
        with step(f"starting {len(parts)} processes"):
            await _until_ready([url_of(settings, name) + "/health/ready" for name in subgraphs.ALL], stopping)
        if loaded and not stopping.is_set():
            with step("telling the subgraphs of one another's data"):
                await until_told(settings)
        # The router is last: when it answers, the shop is there.
        parts.append(router)
        tasks.append(asyncio.create_task(router.keep_running()))
        await _until_ready([address(settings) + "/health"], stopping)
        if not stopping.is_set():
            announce()
        await stopping.wait()
    finally:
        stopping.set()
        await asyncio.gather(*(part.stop() for part in parts))
        await asyncio.gather(*tasks, return_exceptions=True)


def commands() -> list[Sequence[str]]:
    """The parts behind the router, as arguments of ``dure``."""
    apis = [("part", "api", name) for name in subgraphs.ALL]
    workers = [("part", "workers", name) for name in subgraphs.ALL]
    return [("part", "provider"), *apis, *workers]


class Part:
    """A child process that is started again when it dies, later and later, until all is to stop."""

    def __init__(self, command: Sequence[str], stopping: asyncio.Event) -> None:
        self.name = " ".join(command[1:])
        self._command = command
        self._stopping = stopping
        self._process: asyncio.subprocess.Process | None = None

    async def keep_running(self) -> None:
        pause = 0.5
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "dure", *self._command, start_new_session=True
            )
            code = await self._process.wait()
            if self._stopping.is_set():
                return
            if asyncio.get_running_loop().time() - began > SETTLED_SECONDS:
                pause = 0.5  # what ran for so long has no reason to die again at once
            console.print(f"[yellow]{self.name} ended with code {code}; starting it again[/yellow]")
            await until(self._stopping, pause)
            pause = min(pause * 2, 10)

    async def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()


async def _until_ready(urls: Sequence[str], stopping: asyncio.Event) -> None:
    """Until all of these answer. Raises StartError when they do not in time."""
    waiting = list(urls)
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while waiting and not stopping.is_set():
            waiting = [url for url in waiting if not await _answers(session, url)]
            if waiting and asyncio.get_running_loop().time() > deadline:
                raise StartError(f"no answer from {', '.join(waiting)}; see the messages above")
            await asyncio.sleep(0.2 if waiting else 0)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        # The certificate is for a name that need not be this address; whether it answers is all that is asked.
        async with session.get(url, ssl=False) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
