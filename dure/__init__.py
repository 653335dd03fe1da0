"""The ``dure`` command and the all-in-one process: the only package that knows router and subgraphs both."""
