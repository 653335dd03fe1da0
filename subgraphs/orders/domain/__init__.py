"""Pure rules of orders: states, the saga's decisions, what an order costs. No I/O."""
