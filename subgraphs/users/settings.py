"""Settings of the users subgraph. Each is an environment variable with the prefix ``DURE_USERS_``."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from subgraphs.kit.media.settings import MediaSettings


class Settings(MediaSettings):
    """Tokens, passwords, pictures, e-mail."""

    model_config = SettingsConfigDict(env_prefix="DURE_USERS_", extra="ignore")

    issuer: str = Field(default="dure-users", description="`iss` of the access tokens.")
    audience: str = Field(default="dure", description="`aud` of the access tokens.")
    access_token_life: timedelta = Field(default=timedelta(minutes=10), description="Life of an access token.")
    refresh_token_life: timedelta = Field(default=timedelta(days=14), description="A refresh token unused dies then.")
    session_life: timedelta = Field(default=timedelta(days=30), description="A session ends then, however often used.")
    verification_life: timedelta = Field(default=timedelta(days=1), description="Life of an e-mail verification link.")
    reset_life: timedelta = Field(default=timedelta(minutes=30), description="Life of a password reset link.")
    key_life: timedelta = Field(default=timedelta(days=90), description="A signing key is replaced then.")
    key_lead: timedelta = Field(
        default=timedelta(minutes=15), description="A new key is published so long before it signs, and after it."
    )

    argon2_memory_kib: int = Field(default=19456, description="argon2id: memory, KiB.")
    argon2_passes: int = Field(default=2, description="argon2id: passes.")
    hash_threads: int = Field(default=2, ge=1, description="Threads that hash passwords.")
    hash_queue: int = Field(default=64, ge=1, description="Hashes that may wait; more are refused as unavailable.")

    public_url: str = Field(default="http://127.0.0.1:4000", description="Where links in e-mails lead.")

    media_url: str | None = Field(
        default=None, description="Where people's pictures are shown. Not given: `<public_url>/avatars`."
    )

    social_redirect_uris: list[str] = Field(
        default=[], description="Where providers may send people back to. Empty: `<public_url>/login/social` only."
    )
    social_attempt_life: timedelta = Field(
        default=timedelta(minutes=10), description="A log-in at a provider must be finished within."
    )
    naver_client_id: str | None = Field(default=None, description="Client id at Naver; none: no log-in with Naver.")
    naver_client_secret: SecretStr | None = Field(default=None, description="Its secret.")
    naver_auth_url: str = Field(default="https://nid.naver.com", description="Naver's log-in.")
    naver_api_url: str = Field(default="https://openapi.naver.com", description="Naver's API.")
    kakao_client_id: str | None = Field(
        default=None, description="REST API key at Kakao (OpenID Connect on); none: no log-in with Kakao."
    )
    kakao_client_secret: SecretStr | None = Field(default=None, description="Its client secret.")
    kakao_auth_url: str = Field(default="https://kauth.kakao.com", description="Kakao's log-in, and its issuer.")
    kakao_api_url: str = Field(default="https://kapi.kakao.com", description="Kakao's API.")

    mail_from: str = Field(default="dure <no-reply@dure.example>", description="Sender of e-mails.")
    smtp_host: str | None = Field(default=None, description="SMTP server; none: the development outbox, or waiting.")
    smtp_port: int = Field(default=25, description="Its port.")
    smtp_user: str | None = Field(default=None, description="Its user, if it wants one.")
    smtp_password: SecretStr | None = Field(default=None, description="The user's password.")
    smtp_starttls: bool | None = Field(default=None, description="Encrypt: none means if the server offers it.")

    sms_url: str = Field(default="https://api.solapi.com", description="SOLAPI, which sends text messages.")
    sms_api_key: str | None = Field(default=None, description="API key there; none: text messages are not offered.")
    sms_api_secret: SecretStr | None = Field(default=None, description="The key's secret.")
    sms_sender: str | None = Field(default=None, description="Registered number that text messages come from.")

    @property
    def avatars_url(self) -> str:
        """Where people's pictures are shown."""
        return self.media_url or f"{self.public_url.rstrip('/')}/avatars"

    def redirect_uris(self) -> list[str]:
        """Where providers may send people back to, each an exact address."""
        return self.social_redirect_uris or [f"{self.public_url}/login/social"]
