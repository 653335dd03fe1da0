"""Settings that all subgraphs share. Each is an environment variable with the prefix ``DURE_``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class CommonSettings(BaseSettings):
    """Where things are, and the secrets that several processes share."""

    model_config = SettingsConfigDict(env_prefix="DURE_", extra="ignore")

    data_dir: Path = Field(default=Path(".dure"), description="Folder of the SQLite files and generated secrets.")
    database_url: str = Field(
        default="sqlite+aiosqlite:///{data_dir}/{subgraph}.sqlite",
        description="SQLAlchemy URL of the primary; {subgraph} stands for the subgraph's name.",
    )
    replica_url: str | None = Field(default=None, description="The same for a read replica, if there is one.")
    pool_size: int = Field(default=10, description="Connections a process keeps to a server database.")
    broker_url: str | None = Field(default=None, description="amqp:// URL of RabbitMQ; none: the in-process broker.")
    redis_url: str | None = Field(default=None, description="redis:// URL; none: the in-process cache and channels.")
    claims_secret: SecretStr = Field(description="Shared with the router: signs the claims that it passes on.")
    cursor_secret: SecretStr = Field(description="Signs pagination cursors.")
    dev: bool = Field(default=True, description="Developer's start: explorer, introspection, outbox of e-mails.")

    def database_of(self, subgraph: str) -> str:
        """The primary's URL for this subgraph."""
        return self.database_url.format(subgraph=subgraph, data_dir=self.data_dir.resolve())

    def replica_of(self, subgraph: str) -> str | None:
        """The replica's URL for this subgraph, if there is one."""
        return self.replica_url and self.replica_url.format(subgraph=subgraph, data_dir=self.data_dir.resolve())
