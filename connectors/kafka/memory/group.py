"""A consumer group: members, who owns which partition, and the offsets that were committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.errors import Fenced, Unavailable
from connectors.kafka.records import TopicPartition


@dataclass(eq=False)
class Member:
    """One member, as the group sees it.

    Attributes:
        topics: What it subscribes to.
        session_seconds: It is dead so long after its last heartbeat.
        poll_seconds: It has left so long after its last poll.
        instance_id: Of a static member.
        polled_at: When it polled last, by the broker's clock.
        silent_since: When its heartbeats ended; None while they come.
        fenced: Another member with its instance id has taken over.
    """

    topics: Sequence[str]
    session_seconds: float
    poll_seconds: float
    instance_id: str | None
    polled_at: float
    silent_since: float | None = None
    fenced: bool = False


@dataclass
class MemoryGroup:
    """Assigns partitions as Kafka's cooperative sticky assignor does. The broker's lock guards it.

    A partition is taken from its owner first, and assigned after the owner gave it up: it never has two.

    Attributes:
        offsets: What was committed.
        generation: How often partitions were assigned.
    """

    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    generation: int = 0
    _members: list[Member] = field(default_factory=list)
    _owners: dict[TopicPartition, Member] = field(default_factory=dict)
    _targets: dict[TopicPartition, Member] = field(default_factory=dict)

    def join(self, member: Member, counts: Mapping[str, int]) -> None:
        """Take in a member; a static one gets what the member before it with its instance id had."""
        for former in self._members:
            if member.instance_id is not None and former.instance_id == member.instance_id:
                former.fenced = True
                self._members[self._members.index(former)] = member
                for owned in (self._owners, self._targets):
                    owned |= {source: member for source, owner in owned.items() if owner is former}
                # It has to be assigned once more, to the one who does not know of it.
                self._owners = {source: owner for source, owner in self._owners.items() if owner is not member}
                return
        self._members.append(member)
        self.rebalance(counts)

    def leave(self, member: Member, counts: Mapping[str, int]) -> None:
        """Let a member go, and what it owned."""
        if member in self._members:
            self._members.remove(member)
            self._owners = {source: owner for source, owner in self._owners.items() if owner is not member}
            self.rebalance(counts)

    def has(self, member: Member) -> bool:
        """Whether it is a member still."""
        return member in self._members

    def to_revoke(self, member: Member) -> list[TopicPartition]:
        """What a member owns and is another's next."""
        return [
            source for source, owner in self._owners.items() if owner is member and not self._is_for(source, member)
        ]

    def revoke(self, sources: Collection[TopicPartition]) -> None:
        """Their owner has given them up."""
        for source in sources:
            self._owners.pop(source, None)

    def assign(self, member: Member) -> list[TopicPartition]:
        """Give a member what is its and has no owner; returns that."""
        free = [source for source in self._targets if source not in self._owners and self._is_for(source, member)]
        self._owners |= dict.fromkeys(free, member)
        return free

    def commit(self, member: Member, offsets: Mapping[TopicPartition, int]) -> None:
        """Store offsets.

        Raises:
            Fenced: Another member with the same instance id has taken over.
            Unavailable: It is not a member any more.
        """
        if member.fenced:
            raise Fenced("another member with the same instance id has taken over")
        if not self.has(member):
            raise Unavailable("the group does not know this member")
        self.offsets |= offsets

    def expire(self, now: float, counts: Mapping[str, int]) -> None:
        """Let go of members that have been silent for longer than their session, or have not polled for too long."""
        for member in list(self._members):
            dead = member.silent_since is not None and now - member.silent_since >= member.session_seconds
            if dead or (member.silent_since is None and now - member.polled_at > member.poll_seconds):
                self.leave(member, counts)

    def expire_sessions_after(self, hung_seconds: float, counts: Mapping[str, int]) -> None:
        """The broker heard nobody for so long: members whose session is shorter are gone."""
        for member in list(self._members):
            if hung_seconds >= member.session_seconds:
                self.leave(member, counts)

    def rebalance(self, counts: Mapping[str, int]) -> None:
        """Decide who gets what, and move as little as an even load allows.

        Args:
            counts: How many partitions each topic has.
        """
        self.generation += 1
        former, self._targets = self._targets, {}
        load: Counter[Member] = Counter()
        for topic, number in counts.items():
            members = [member for member in self._members if topic in member.topics]
            if not members:
                continue
            sources = [TopicPartition(topic, partition) for partition in range(number)]
            most, with_most = -(-number // len(members)), number % len(members) or len(members)
            kept: Counter[Member] = Counter()
            for source in sources:
                owner = former.get(source)
                if owner not in members:
                    continue
                full = [member for member, owned in kept.items() if owned == most]
                limit = most if len(full) < with_most else most - 1
                if kept[owner] < limit:
                    kept[owner] += 1
                    self._targets[source] = owner
            for source in sources:
                if source not in self._targets:
                    owner = min(members, key=lambda member: (kept[member], load[member]))
                    kept[owner] += 1
                    self._targets[source] = owner
            load += kept

    def _is_for(self, source: TopicPartition, member: Member) -> bool:
        return self._targets.get(source) is member
