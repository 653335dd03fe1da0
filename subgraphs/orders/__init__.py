"""Carts, orders and the saga that turns an order into a sale."""
