"""Delivery: addresses, shipping costs, shipments and where they are."""
