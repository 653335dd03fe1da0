"""REST: paths bound to persisted operations by a file, and the OpenAPI document that follows from it."""
