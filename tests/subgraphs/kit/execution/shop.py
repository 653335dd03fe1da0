"""A schema with one of everything, for comparing executors."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@strawberry.input
class Range:
    low: int = 1
    high: int | None = None
    colours: list[Colour] | None = None


@strawberry.input
class Wish:
    name: str
    ranges: list[Range] | None = strawberry.UNSET
    price: Decimal | None = None


@strawberry.interface
class Named:
    name: str

    @strawberry.field
    async def shout(self, times: int = 1) -> str:
        await asyncio.sleep(0)
        return self.name.upper() * min(times, 3)  # a generated number may be huge


@strawberry.type
class Cat(Named):
    lives: int
    colour: Colour = Colour.RED
    born: datetime | None = None
    price: Decimal | None = Decimal("1.50")

    @strawberry.field
    def friend(self) -> Annotated[Pet, strawberry.lazy(__name__)] | None:
        return Dog(name="Rex", bones=[[1, 2], None, [3]])

    @strawberry.field
    async def mood(self, of: Colour = Colour.BLUE) -> str | None:
        await asyncio.sleep(0)
        if self.lives < 0:
            raise ValueError("no lives")
        return of.value

    @strawberry.field
    def strict(self) -> str:
        return None if self.lives == 0 else "yes"  # type: ignore[return-value]


@strawberry.type
class Dog(Named):
    bones: list[list[int] | None]
    owner: str | None = None

    @strawberry.field
    def enemies(self) -> list[Cat]:
        return [Cat(name="Tom", lives=9), Cat(name="Zero", lives=0), Cat(name="Less", lives=-1)]

    @strawberry.field
    async def maybe_enemies(self) -> list[Cat | None]:
        return [Cat(name="Tom", lives=2**40), None, Cat(name="Zero", lives=0)]


Pet = Annotated[Cat | Dog, strawberry.union("Pet")]


@strawberry.type
class Query:
    @strawberry.field
    def pets(self, first: int = 3) -> list[Pet]:
        pets: list[Any] = [Cat(name="Tom", lives=9), Dog(name="Rex", bones=[[1]]), Cat(name="Less", lives=-1)]
        return pets[:first]

    @strawberry.field
    async def named(self, info: strawberry.Info[Any, None]) -> list[Named | None]:
        await asyncio.sleep(0)
        return [Cat(name=str(info.context), lives=0), None, Dog(name=info.field_name, bones=[])]

    @strawberry.field
    def cat(self, lives: int = 9) -> Cat | None:
        return Cat(name="Tom", lives=lives, colour="green" if lives == 7 else Colour.BLUE)  # type: ignore[arg-type]

    @strawberry.field
    def stranger(self) -> Pet | None:
        return Colour.RED  # type: ignore[return-value]

    @strawberry.field
    def wish(self, wish: Wish, at: datetime | None = None, also: Range | None = None) -> str:
        return repr((wish, at, also))

    @strawberry.field
    def ids(self, ids: list[strawberry.ID | None], flag: bool | None = None) -> list[str | None]:
        return [*ids, str(flag)]

    @strawberry.field
    def bad_list(self) -> list[int] | None:
        return 5  # type: ignore[return-value]

    @strawberry.field
    def bad_items(self) -> list[int | None]:
        return [1, ValueError("one bad"), "x", 2**40, True]  # type: ignore[list-item]

    @strawberry.field
    def lazily(self) -> list[int]:
        return (each for each in (1, 2, 3))  # type: ignore[return-value]

    @strawberry.field
    def promised(self) -> list[int | None]:
        return [asyncio.sleep(0, 1), 2, asyncio.sleep(0, "x")]  # type: ignore[list-item]

    @strawberry.field
    def streamed(self) -> list[int]:
        async def numbers() -> AsyncIterator[int]:
            for each in (1, 2):
                yield each

        return numbers()  # type: ignore[return-value]

    @strawberry.field
    async def broken(self) -> int:
        raise RuntimeError("broken")

    @strawberry.field
    def fragile(self) -> Fragile | None:
        return Fragile()


@strawberry.type
class Fragile:
    @strawberry.field
    async def late(self) -> int:
        await asyncio.sleep(0)
        raise RuntimeError("late")

    @strawberry.field
    def deep(self) -> Fragile:
        return Fragile()

    @strawberry.field
    def soft(self) -> Fragile | None:
        return Fragile()

    @strawberry.field
    def fine(self) -> int:
        return 1


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def append(self, info: strawberry.Info[Any, None], value: int) -> list[int]:
        before = list(info.context)
        await asyncio.sleep(0)
        info.context[:] = [*before, value]  # loses what another wrote meanwhile
        return list(info.context)

    @strawberry.mutation
    async def refuse(self) -> int | None:
        raise ValueError("refused")

    @strawberry.mutation
    async def refuse_hard(self) -> int:
        raise ValueError("refused")


schema = strawberry.federation.Schema(query=Query, mutation=Mutation, types=[Cat, Dog])
