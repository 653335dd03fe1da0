"""Passing the money on: what sellers earn, the settlements that close it, the payouts, and the books of all that."""
