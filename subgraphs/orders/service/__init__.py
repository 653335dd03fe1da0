"""Use cases of orders, one a module. Each takes a transaction or opens one with ``Database.run``."""
