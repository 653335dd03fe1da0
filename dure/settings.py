"""Settings of the process that puts everything together. Each is an environment variable with the prefix ``DURE_``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from dure.errors import StartError
from subgraphs.kit.settings import CommonSettings

ROOT = Path(__file__).resolve().parent.parent


class Settings(CommonSettings):
    """Everything in CommonSettings, and where the shop listens."""

    model_config = SettingsConfigDict(env_prefix="DURE_", extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address that the shop listens on.")
    port: int = Field(default=4000, description="Port of the router; the explorer is there too.")
    first_subgraph_port: int = Field(default=4100, description="In split mode: the first of the subgraphs' ports.")
    provider_port: int = Field(default=4090, description="In split mode: the payment provider simulator's port.")
    bind_host: str = Field(
        default="127.0.0.1", description="In split mode: address that the subgraphs and the simulator listen on."
    )
    subgraph_url: str = Field(
        default="http://127.0.0.1:{port}",
        description="In split mode: where the parts reach a subgraph; {subgraph} stands for its name, {port} its port.",
    )
    internal_host: str = Field(default="127.0.0.1", description="Address of the operators' ports.")
    internal_offset: int = Field(
        default=1000,
        description="Metrics and health details are at a process's own port plus this (workers: their subgraph's port "
        "plus twice this). 0: nowhere.",
    )
    drain_notice: float = Field(
        default=0.0,
        ge=0,
        description="In split mode, at the end of a subgraph's API: how long it is unready, and listens on, before "
        "its streams are completed. The router has `ROUTER_DRAIN_NOTICE`.",
    )
    otlp_endpoint: str | None = Field(
        default=None, description="Where traces are sent (OTLP over HTTP, `http://host:4318/v1/traces`). None: nowhere."
    )
    trace_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Share of traces begun here that are recorded; others as callers say."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="warning", description="Least level.")
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="Lines of the log; `auto`: for people on a terminal, else JSON."
    )
    demo_data: bool | None = Field(
        default=None, description="Load the demo's data at start, if it is not there yet. Not given: when `dev` is on."
    )
    demo_password: SecretStr = Field(description="Password of the demo's people (operator, sellers, customers).")
    partner_key: SecretStr | None = Field(
        default=None,
        description="API key of the partner integration, sent as `x-api-key`: with it only the operations of "
        "`persisted/partner.json` run. None: there is no such integration.",
    )
    cache: bool = Field(
        default=True,
        description="The router keeps public answers, and events purge them (docs/caching.md). With RabbitMQ only if "
        "there is Redis, too: routers must share what they keep.",
    )
    schema_dir: Path = Field(default=ROOT / "schema", description="Folder of the supergraph and the subgraphs' SDL.")
    explorer_dir: Path = Field(default=ROOT / "clients/explorer/dist", description="The built explorer.")

    @field_validator("subgraph_url")
    @classmethod
    def _can_be_filled_in(cls, template: str) -> str:
        try:
            template.format(subgraph="users", port=4100)
        except (LookupError, ValueError):
            raise ValueError("only {subgraph} and {port} can be filled in") from None
        return template.rstrip("/")

    @property
    def loads_demo_data(self) -> bool:
        return self.dev if self.demo_data is None else self.demo_data

    @property
    def keeps_answers(self) -> bool:
        """Whether the router caches, and so takes events."""
        return self.cache and (self.broker_url is None or self.redis_url is not None)

    @property
    def supergraph_file(self) -> Path:
        return self.schema_dir / "supergraph.graphql"

    @cached_property
    def supergraph_sdl(self) -> str:
        """The reviewed supergraph. Raises StartError when it is missing."""

        path = self.supergraph_file
        try:
            return path.read_text()
        except OSError as error:
            raise StartError(f"cannot read {path}: {error.strerror}; `make schema` writes it") from None
