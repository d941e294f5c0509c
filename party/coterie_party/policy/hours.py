# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Hours of the week, in the local time of the party's machine: when jobs may start and rounds are answered."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, field_validator, model_validator

from coterie_common.strict_model import StrictModel

WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES: Final = 24 * 60


def _minute_of_day(value: Any) -> Any:
    matched = re.fullmatch(r"(\d\d):(\d\d)", value) if isinstance(value, str) else None
    minutes = int(matched[1]) * 60 + int(matched[2]) if matched and int(matched[2]) < 60 else -1
    if not 0 <= minutes <= _DAY_MINUTES:
        raise ValueError('must be a time from "00:00" to "24:00"')
    return minutes


_Minute = Annotated[int, BeforeValidator(_minute_of_day)]


class Hours(StrictModel):
    """A span of time on some days of the week.

    Attributes:
        days: on which it begins; all by default.
        start: minute of the day, included; in the file ``from``, a time such as ``"20:00"``.
        until: minute of the day, excluded, such as ``"06:00"``; if not after ``from``, of the following day.
    """

    days: tuple[str, ...] = WEEK
    start: Annotated[_Minute, Field(alias="from")]
    until: _Minute

    @field_validator("days", mode="before")
    @classmethod
    def _days(cls, value: Any) -> Any:
        if not isinstance(value, list) or not value or not all(day in WEEK for day in value):
            raise ValueError(f"must be a list of {', '.join(WEEK)}")
        return tuple(value)

    @model_validator(mode="after")
    def _is_no_moment(self) -> Hours:
        if self.start == self.until or self.start == _DAY_MINUTES:
            raise ValueError('from and until must differ; a whole day is from "00:00" until "24:00"')
        return self

    def include(self, local: datetime) -> bool:
        """Return whether a local time is within the span."""
        minute, today, yesterday = local.hour * 60 + local.minute, WEEK[local.weekday()], WEEK[local.weekday() - 1]
        if self.start < self.until:
            return today in self.days and self.start <= minute < self.until
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.until)

    def __str__(self) -> str:
        days = "" if self.days == WEEK else f"{', '.join(self.days)} "
        return f"{days}from {_clock(self.start)} until {_clock(self.until)}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
