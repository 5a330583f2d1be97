"""Frozen value objects that cost nothing to import.

`dataclasses` pulls in `inspect` and takes longer to import than Python takes to start, and the
launch path is measured against a program that has finished by then. `record` is the small part of
it that claudy uses: a constructor from the annotations, defaults from class attributes,
immutability, equality, hash and repr. Type checkers see a frozen dataclass.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, dataclass_transform

    T = TypeVar("T")
    R = TypeVar("R")

    @dataclass_transform(frozen_default=True)
    def record(cls: type[T]) -> type[T]:
        """Turn an annotated class into a frozen value object."""
        return cls

    def replace(value: R, **changes: Any) -> R:
        """Return a copy with some fields changed."""
        ...

else:

    def record(cls):
        """Turn an annotated class into a frozen value object."""
        names = tuple(cls.__annotations__)
        defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}

        def __init__(self, *args, **kwargs) -> None:  # noqa: N807
            if len(args) > len(names):
                raise TypeError(f"{cls.__name__} takes {len(names)} fields, got {len(args)}")
            values = {**defaults, **dict(zip(names, args)), **kwargs}  # noqa: B905
            if len(values) != len(names) or not values.keys() <= set(names):
                wrong = set(names) ^ values.keys()
                raise TypeError(f"{cls.__name__}: missing or unknown fields {sorted(wrong)}")
            self.__dict__.update(values)

        def __setattr__(self, name, value) -> None:  # noqa: N807
            raise AttributeError(f"{cls.__name__} is frozen")

        def fields(self):
            return tuple(self.__dict__[name] for name in names)

        cls.__init__ = __init__
        cls.__setattr__ = __setattr__
        cls.__delattr__ = lambda self, name: __setattr__(self, name, None)
        cls.__eq__ = lambda self, other: (
            fields(self) == fields(other) if type(other) is type(self) else NotImplemented
        )
        cls.__hash__ = lambda self: hash(fields(self))
        cls.__repr__ = lambda self: (
            f"{cls.__name__}({', '.join(f'{n}={self.__dict__[n]!r}' for n in names)})"
        )
        return cls

    def replace(value, **changes):
        """Return a copy with some fields changed."""
        return type(value)(**{**value.__dict__, **changes})
