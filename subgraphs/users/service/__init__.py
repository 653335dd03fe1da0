"""The use cases, one module each; ``deps`` is what they work with."""

from subgraphs.users.service.announce import announce_partners, announce_users

__all__ = ["announce_partners", "announce_users"]
