"""Clients of the graph."""
