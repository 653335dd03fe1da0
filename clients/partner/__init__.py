"""A typed client for partners: it sends the hashes of its operations and nothing else.

``operations.py`` is generated from ``schema/persisted/partner.graphql``; ``transport.py`` sends.
"""
