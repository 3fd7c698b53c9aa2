"""The type of a setting that is a duration: it reads and shows `30 s`."""

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from holdfast.errors.durations import in_words, parse_duration

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(in_words, return_type=str),
]
