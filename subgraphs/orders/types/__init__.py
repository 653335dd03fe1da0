"""The GraphQL types of orders."""
