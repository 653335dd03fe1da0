"""The demo's data: generated, the same every time, loaded once."""

from dure.demo_data.load import load

__all__ = ["load"]
