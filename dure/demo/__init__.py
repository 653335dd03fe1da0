"""``dure demo``: a newcomer's first visit, over HTTP, through the router only."""

from dure.demo.run import run

__all__ = ["run"]
