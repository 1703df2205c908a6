"""What a start is asked to run: everything, or some of it and what that needs."""

from collections.abc import Collection
from dataclasses import dataclass

from ops.stack.components import PartSpec
from ops.stack.errors import StackError
from ops.stack.registry import Registry
from ops.stack.state.model import Part


@dataclass(frozen=True, slots=True)
class Selection:
    """Names of parts and services.

    Attributes:
        only: run these and what they need; empty for everything.
        without: do not start these.
        services: whether services are run where `only` names none.
        requested: run these, too, which nothing else starts.
    """

    only: frozenset[Part] = frozenset()
    without: frozenset[Part] = frozenset()
    services: bool = True
    requested: frozenset[Part] = frozenset()

    def __bool__(self) -> bool:
        """Whether it asks for less than everything."""
        return bool(self.only or self.without or not self.services)

    def __str__(self) -> str:
        """As options of `marketplace up`."""
        options = [] if self.services else ["--no-services"]
        options += [f"--only {','.join(sorted(self.only))}"] if self.only else []
        options += [f"--without {','.join(sorted(self.without))}"] if self.without else []
        return " ".join(options)

    def resolve(self, registry: Registry, elsewhere: Collection[Part] = ()) -> tuple[Part, ...]:
        """The names of all that is to run, in the registry's order.

        Args:
            registry: What there is.
            elsewhere: Parts that are given by a URL: they are not started, so that they can be used by all.

        Raises:
            StackError: a name is none of those that there are, or what is left out is needed by what is not.
        """
        for name in sorted(self.only | self.without):
            if name not in registry.startable:
                raise StackError(f"there is no {name}: choose from {', '.join(registry.startable)}")
        services = {service.name for service in registry.services}
        left_out = self.without | (frozenset() if self.services else services)
        both = (self.only | self.requested) & left_out
        if both:
            asking = "--only" if both & self.only else registry[sorted(both)[0]].request_option
            option = "--without" if both & self.without else "--no-services"
            raise StackError(f"{asking} asks for {_names(both)}, which {option} leaves out")
        wanted = (self.only or frozenset(registry.usual) - left_out) | self.requested
        needed = registry.needed_by(wanted)
        missing = (left_out - frozenset(elsewhere)).intersection(needed)
        if missing:
            raise StackError(self._refusal(registry, sorted(missing)[0], wanted))
        if not needed:
            raise StackError("nothing is left to run")
        return needed

    def _refusal(self, registry: Registry, missing: Part, wanted: Collection[Part]) -> str:
        users = [name for name in registry.startable if name in wanted and missing in registry.needed_by([name])]
        component = registry[missing]
        elsewhere = f", or name one elsewhere with {component.url_variable}" if isinstance(component, PartSpec) else ""
        verb = "needs" if len(users) == 1 else "need"
        return f"{missing} cannot be left out: {_names(users)} {verb} it. Leave out {_them(users)} too{elsewhere}"


def _names(names: Collection[Part]) -> str:
    return ", ".join(sorted(names)) if isinstance(names, frozenset) else ", ".join(names)


def _them(names: Collection[Part]) -> str:
    return "that" if len(names) == 1 else "those"
