"""The Verilog of a module and of those below it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pysim import InputError


@dataclass(frozen=True)
class Source:
    """Verilog texts by module name, and the uppermost module; all others are below it."""

    modules: Mapping[str, str]
    top: str

    @classmethod
    def of(cls, modules: Mapping[str, str], top: str) -> "Source":
        """Return the source of one module among many.

        Raises
        ------
        InputError
            If there is no such module.
        """
        if top not in modules:
            raise InputError(f"no module {top!r}: there are {', '.join(sorted(modules))}")
        used = [top]
        for name in used:
            used += [child for child in named_in(modules[name], modules) if child not in used]
        return cls({name: modules[name] for name in used}, top)

    def key(self) -> Iterator[str]:
        """Yield what tells it from every other source."""
        yield self.top
        for name in sorted(self.modules):
            yield name
            yield self.modules[name]


def named_in(text: str, modules: Mapping[str, str]) -> list[str]:
    """Return the modules, of those given, whose names a text has, and which it may instantiate."""
    words = re.findall(r"\w+", re.sub(r"//.*|/\*[\s\S]*?\*/", "", text))
    return [word for word in dict.fromkeys(words) if word in modules]
