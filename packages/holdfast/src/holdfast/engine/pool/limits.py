"""How large a pool is, how long it waits and how old its connections grow."""

from datetime import timedelta
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.engine.duration_setting import Duration


class OnReturn(StrEnum):
    """What happens to a connection that SQLAlchemy returns."""

    ROLLBACK = "rollback"
    DISCARD_ALL = "discard_all"


class PoolLimits(BaseModel):
    """The contract of a pool; the defaults are those of production."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    max: int = Field(20, ge=1, description="connections, never more")
    min: int = Field(5, ge=0, description="connections opened at start and kept when idle")
    idle: Duration = Field(
        timedelta(seconds=30), gt=timedelta(), description="an idle connection above min is closed"
    )
    timeout: Duration = Field(
        timedelta(seconds=2), gt=timedelta(), description="to queue, connect and check, in all"
    )
    max_lifetime: Duration = Field(
        timedelta(minutes=30), gt=timedelta(), description="of a connection, ± 10 %"
    )
    on_return: OnReturn = Field(
        OnReturn.ROLLBACK,
        description="discard_all: the session forgets all that was set in it; a round trip more",
    )

    @model_validator(mode="after")
    def _min_fits_into_max(self) -> Self:
        if self.min > self.max:
            msg = f"min ({self.min}) is larger than max ({self.max})"
            raise ValueError(msg)
        return self
