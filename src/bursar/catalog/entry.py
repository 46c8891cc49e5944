"""What catalogue entries share: where numbers come from, how they are read and found."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bursar.errors import BadInput
from bursar.units import parse_amount


def _amount(resource: str) -> BeforeValidator:
    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        found, amount = parse_amount(value)
        if found != resource:
            raise ValueError(f"{value!r} is not an amount of {resource}")
        return amount

    return BeforeValidator(read)


Positive = Annotated[float, Field(gt=0)]
Bytes = Annotated[Positive, _amount("bytes_moved")]
Flops = Annotated[Positive, _amount("flops")]
Date = Annotated[str, Field(pattern=r"^(19|20)\d\d(-\d\d){0,2}$")]


class Record(BaseModel):
    """Frozen, and strict about names: a mistyped key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Provenance(Record):
    """Where one number comes from: a source and its date, or the reasoning of an estimate."""

    source: str | None = None
    date: Date | None = None
    estimate: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.estimate is None) == (self.source is None or self.date is None):
            raise ValueError("give a source and its date, or an estimate with its reasoning")
        return self


class Entry(Record):
    """`source` and `date` cover every number except those that `other` names."""

    name: str
    source: Annotated[str, Field(min_length=3)]
    date: Date
    aliases: tuple[str, ...] = ()
    other: Mapping[str, Provenance] = {}

    @model_validator(mode="after")
    def _other_names_fields(self) -> Self:
        if unknown := set(self.other) - set(type(self).model_fields):
            raise ValueError(f"`other` names {sorted(unknown)}, which are not fields")
        return self

    def provenance(self, field: str) -> Provenance:
        """Where the number in `field` comes from."""
        return self.other.get(field) or Provenance(source=self.source, date=self.date)

    def row(self) -> dict[str, Any]:
        """Plain data for a table or JSON: the entry's own fields, then where they come from."""
        data = self.model_dump(mode="json", exclude_none=True)
        last = ("aliases", "source", "date", "other")
        return {k: v for k, v in data.items() if k not in last} | {k: data[k] for k in last}


E = TypeVar("E", bound=Entry)


def read_table(file: str, record: type[E]) -> dict[str, E]:
    """The entries of one TOML file of the catalogue, by name."""
    text = resources.files("bursar.catalog").joinpath("data", file).read_text(encoding="utf-8")
    return {name: build(record, {"name": name, **raw}) for name, raw in tomllib.loads(text).items()}


def build(record: type[E], raw: Mapping[str, Any]) -> E:
    """One checked entry; `BadInput` says which field is wrong."""
    try:
        return record.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"catalogue entry {raw.get('name')!r}, {where}: {first['msg']}") from None


def normal(name: str) -> str:
    """The form in which names are compared: `Meta-Llama/Llama_3.1 8B` -> `llama-3.1-8b`."""
    return re.sub(r"[\s_]+", "-", name.strip().lower())


def find(kind: str, table: Mapping[str, E], name: str) -> E:
    """The entry called `name`, by name or alias; an `org/` in front may be left out or given.

    Raises `BadInput` with close matches.
    """
    index = _index(tuple((entry.name, *entry.aliases) for entry in table.values()))
    wanted = normal(name)
    for candidate in (wanted, wanted.rsplit("/", 1)[-1]):
        if candidate in index:
            return table[index[candidate]]
    close = difflib.get_close_matches(wanted, index, n=4, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"there are {len(table)} of them"
    raise BadInput(f"unknown {kind} {name!r}; {hint} `bursar catalog {kind}s` lists all")


@cache
def _index(names: Iterable[tuple[str, ...]]) -> dict[str, str]:
    return {normal(name): group[0] for group in names for name in group}
