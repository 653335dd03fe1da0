"""Where a subgraph keeps its pictures; its settings mix this in."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class MediaSettings(BaseSettings):
    """A bucket behind the S3 API, or none."""

    media_s3_bucket: str | None = Field(default=None, description="Bucket of pictures; none: a folder of the data.")
    media_s3_endpoint: str | None = Field(default=None, description="S3 API to use; none: that of AWS.")
    media_s3_region: str = Field(default="us-east-1", description="The bucket's region.")
    media_s3_access_key: str | None = Field(default=None, description="Access key of the bucket.")
    media_s3_secret_key: SecretStr | None = Field(default=None, description="Its secret.")
