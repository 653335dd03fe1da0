"""Thousands of random cases in several processes: ``make differential CASES=20000 SEED=1``.

Every case has a seed of its own, so a failure can be had again by itself. A difference is made small and kept in
``cases/``, where the regression test finds it.
"""

from __future__ import annotations

import os
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.router.differential import cases
from tests.router.differential.compare import Bench, Difference, Refused
from tests.router.differential.operations import draw_operation
from tests.router.differential.shrink import shrink

BLOCK = 25
"""Graphs that a worker checks before it reports."""

KEPT = Path(__file__).parent / "cases"


@dataclass
class Outcome:
    """What a block of seeds came to."""

    compared: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)


def run_block(seeds: range) -> Outcome:
    """Check the graphs of some seeds."""
    outcome = Outcome()
    for seed in seeds:
        try:
            outcome.compared += cases.check(Random(seed))
        except Refused:
            outcome.refused += 1
        except Difference as difference:
            outcome.failures.append(f"seed {seed}: {_keep(seed)}\n{str(difference)[:2000]}")
        except Exception:
            outcome.failures.append(f"seed {seed}: {traceback.format_exc(limit=-5)}")
    return outcome


def _keep(seed: int) -> str:
    """Draw the case again, make it small, write it down."""
    random = Random(seed)
    bench = Bench(cases.draw_graph(random))
    for _ in range(cases.OPERATIONS):
        operation = draw_operation(random, bench.schema)
        if operation is None:
            continue
        try:
            bench.compare(operation)
        except Difference:
            path = KEPT / f"seed_{seed}.case"
            cases.save(path, *shrink(bench.graph, operation), f"found by seed {seed}")
            return f"kept as {path.name}"
    return "the API schema differs"


def main(wanted: int, seed: int) -> int:
    """Compare until ``wanted`` operations are done. The exit code: 1 if anything differed."""
    console = Console()
    total, workers = Outcome(), os.cpu_count() or 1
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProcessPoolExecutor(workers) as pool, Progress(*columns, console=console) as progress:
        task = progress.add_task(f"seed {seed}", total=wanted)
        start = seed * 1_000_000
        pending = {
            pool.submit(run_block, range(start + i * BLOCK, start + (i + 1) * BLOCK)) for i in range(workers * 2)
        }
        start += workers * 2 * BLOCK
        while pending:
            done = next(as_completed(pending))
            pending.discard(done)
            outcome = done.result()
            total.compared += outcome.compared
            total.refused += outcome.refused
            for failure in outcome.failures:
                total.failures.append(failure)
                console.print(failure, markup=False, highlight=False)
            progress.update(task, completed=min(total.compared, wanted))
            if total.compared < wanted and len(total.failures) < 20:
                pending.add(pool.submit(run_block, range(start, start + BLOCK)))
                start += BLOCK
    console.print(
        f"{total.compared} operations compared (seed {seed}), {len(total.failures)} differences, "
        f"{total.refused} graphs refused by composition"
    )
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main(int(os.environ.get("CASES", "20000")), int(os.environ.get("SEED", "1"))))
