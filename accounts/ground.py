"""What every duty of this room begins with: the roster, the systems, and what could be read of each."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from accounts.model import Account, Person, System, Trial
from accounts.people import owners, read_roster
from ops import Context, GaccongError, Site, Text, Verdict, local_day, say


@dataclass(frozen=True)
class Ground:
    """people: the roster. systems: by name. accounts: what each readable system has. blind: why the others were not."""

    people: list[Person]
    systems: dict[str, System]
    accounts: dict[str, list[Account]]
    blind: dict[str, Text]

    def of(self, person: Person) -> list[Account]:
        """The person's accounts in every readable system."""
        mine = set(person.logins)
        return [account for found in self.accounts.values() for account in found if account.key in mine]

    def unread(self, person: Person) -> dict[str, Text]:
        """The unreadable systems in which the roster gives this person a login."""
        mine = {system for system, _ in person.logins}
        return {name: why for name, why in self.blind.items() if name in mine}

    def strays(self, person: Person) -> list[Account]:
        """Open accounts of others that one of this person's keys still opens."""
        mine = self.of(person)
        found = []
        for name, accounts in self.accounts.items():
            here = [account for account in mine if account.system == name]
            prints = {key for account in here for key in (*account.keys, *self.systems[name].traces(account))}
            found += [one for one in accounts if one not in here and one.enabled and prints & {*one.keys, *one.opens}]
        return found

    def unproved(self, person: Person) -> list[Account]:
        """Open accounts, of this person or others, in whose files an unknown key may be this person's."""
        mine = {account.system for account in self.of(person)}
        return [one for name in sorted(mine) for one in self.accounts[name] if one.enabled and one.unproved]

    def owners(self) -> dict[tuple[str, str], list[Person]]:
        """(system, login) -> the people whom the roster gives it to."""
        return owners(self.people)


def read_ground(ctx: Context) -> Ground:
    """Reads roster and systems. Raises RosterError; a system that cannot be read is `blind`, never empty."""
    from accounts.settings import KINDS

    people = read_roster(ctx.settings.roster, ctx.settings.system)
    systems: dict[str, System] = {
        name: KINDS[settings.kind].Adapter(name, settings, ctx) for name, settings in ctx.settings.system.items()
    }
    accounts: dict[str, list[Account]] = {}
    blind: dict[str, Text] = {}
    for name, system in systems.items():
        try:
            accounts[name] = system.accounts()
        except (GaccongError, OSError) as error:
            blind[name] = why(error)
    return Ground(people, systems, accounts, blind)


def leavers(ground: Ground, ctx: Context) -> list[Person]:
    """Who has left, seen from the Vietnamese day of `ctx.now`; only those asked for, when some are."""
    today = local_day(ctx.now)
    return [person for person in ground.people
            if person.gone(today) and (not ctx.subjects or person.name in ctx.subjects)]


def wanted(ctx: Context, subject: str) -> bool:
    """True when this subject is asked for, or nothing in particular is."""
    return not ctx.subjects or subject in ctx.subjects


def attempt(look: Callable[[], Trial], account: Account) -> Trial:
    """A trial; what could not be tried is `unseen`, with its reason."""
    try:
        return look()
    except (GaccongError, OSError) as error:
        reason = why(error)
        text = say("{a}: {vi}", "{a}: {en}", a=account.words, vi=reason.vi, en=reason.en)
        return Trial(Verdict.UNSEEN, "", text, {"how": "none"})


def why(error: Exception) -> Text:
    """What an error says."""
    return error.what if isinstance(error, GaccongError) else say("{e}", "{e}", e=error)


def joined(texts: Iterable[Text]) -> Text:
    """Several sayings as one, parted by semicolons."""
    found = list(texts)
    return Text("; ".join(text.vi for text in found), "; ".join(text.en for text in found))


def revoke_command(site: Site, person: Person) -> str:
    """What a person types to revoke."""
    return f"gaccong accounts revoke {shlex.quote(person.name)} --site {site.id}"
