"""What all run records are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Amounts = dict[str, float | None]
"""Resource -> amount; `tokens` is input and output together."""
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]
Settings = dict[str, str | int | float | bool | None]


class Part(BaseModel):
    """A record or a part of one: finite numbers, and keys of a newer version ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Run(Part):
    """What every run's record says of where it came from."""

    command: str
    version: str
    started: str
    """ISO 8601, with the offset from UTC."""
    settings: Settings = {}
