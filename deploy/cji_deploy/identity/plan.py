"""Differences between the files and the tenant, and the steps that bring the tenant to the files.

Contract
* An object is found by its id in the state, else by its name. Two of one name are refused: a person must decide.
* Only stated properties are compared and written. What the files do not state stays as the tenant has it; groups to
  which a method or a policy is given already stay beside ours.
* What acts on people's devices is given to a group only if `enforcement` is "enabled"; until then it waits.
* The state of a Conditional Access policy is written at creation, as the file states it (report-only). Later it changes
  only if `enforcement` is given: nobody's enforced policy goes back to report-only by repeating the command.
* Only objects that this program made, as the state has them, are ever deleted, and only if `kept` is given.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cji_deploy.identity.files import PLACEHOLDER, IdentityError, Item, filled
from cji_deploy.identity.graph import Graph
from cji_deploy.identity.kinds import ELIGIBILITY, KINDS, RULES, TYPE, Action, Kind

_GROUP: Final = "groups/cji-key-administrators"
_BREAK_GLASS: Final = "groups/cji-break-glass"
_EMERGENCY_ACCOUNTS: Final = 2
_MADE: Final = frozenset({"id", "source", "sourceId"})
"""Properties of an assignment that Graph gives it."""
_SCHEDULES: Final = "/v1.0/identityGovernance/privilegedAccess/group/eligibilitySchedules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One difference: `create`, `change`, `delete`, `waits` for --enforce, `differs` for what Graph does not change."""

    verb: str
    name: str
    lines: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Applier:
    """Walks through the items. With `dry`, it reads only; objects that are not there yet have no id."""

    graph: Graph
    dry: bool
    state: dict[str, str]
    enforcement: str | None = None
    ids: dict[str, str] = field(default_factory=dict)

    def apply(self, wanted: list[Item], *, kept: set[str] | None = None) -> Iterator[Step]:
        """The steps, each after it was done. Raises IdentityError; then the state has what was made so far.

        What the state has and `kept` does not name is deleted; nothing is without it.
        """
        for item in wanted:
            body = filled(item.body, self.ids.get)
            if not self.dry and (open_ := PLACEHOLDER.findall(json.dumps(body))):
                raise IdentityError(f"{item.name}: nothing is known as {open_[0]!r}")
            match item.kind:
                case kind if kind == RULES:
                    yield from self._rule(item, body)
                case kind if kind == ELIGIBILITY:
                    yield from self._eligibility(item, body)
                case _:
                    yield from self._object(item, body)
            if item.name == _BREAK_GLASS and self.enforcement == "enabled":
                self._require_break_glass()
        if kept is not None:
            yield from self._prune(kept)

    def _require_break_glass(self) -> None:
        """Nobody is locked out: two accounts are excluded before a policy is enforced."""
        group = self.ids.get(_BREAK_GLASS)
        members = list(self.graph.all(f"/v1.0/groups/{group}/members?$select=id")) if group else []
        if len(members) < _EMERGENCY_ACCOUNTS:
            raise IdentityError(
                f"{_BREAK_GLASS} has {len(members)} members: add two emergency accounts before policies are enforced"
            )

    def _object(self, item: Item, body: dict[str, Any]) -> Iterator[Step]:
        kind = KINDS[item.kind]
        found = self._find(item, body)
        if found is None:
            first = {name: value for name, value in body.items() if not _later(kind, name)}
            found = {} if self.dry else self.graph.post(item.collection, first)
            if not self.dry:
                self.ids[item.name] = self.state[item.name] = found["id"]
            yield Step(verb="create", name=item.name, lines=tuple(_leaves(first)))
            wanted = {name: value for name, value in body.items() if _later(kind, name)}
        else:
            self.ids[item.name] = found["id"]
            wanted = dict(body)
            if "state" in wanted and item.kind == "conditional-access":
                wanted["state"] = self.enforcement or found.get("state")
        fixed = {name: wanted.pop(name) for name in kind.fixed if name in wanted}
        if lines := _differences(fixed, found):
            yield Step(verb="differs", name=item.name, lines=(*lines, "Graph takes these at creation only"))
        for name, action in kind.actions.items():
            if name in wanted:
                yield from self._action(item, body, action, wanted.pop(name), found)
        for name in kind.joined & wanted.keys():
            wanted[name] = _joined(wanted[name], found.get(name))
        if lines := _differences(wanted, found):
            if not self.dry:
                changed = {name: value for name, value in wanted.items() if _differences({name: value}, found)}
                named = {TYPE: body[TYPE], **changed} if TYPE in body else changed
                self.graph.patch(f"{item.collection}/{found['id']}", named)
            yield Step(verb="change", name=item.name, lines=tuple(lines))

    def _action(
        self, item: Item, body: dict[str, Any], action: Action, value: list[Any], found: dict[str, Any]
    ) -> Iterator[Step]:
        """A property that is read or written by itself."""
        place = f"{item.collection}/{found.get('id')}"
        present: Any = found.get(action.body)
        if action.read:
            present = list(self.graph.all(f"{place}/{action.read}")) if found else []
        wanted = _joined(value, present) if action.joined else value
        lines = _list_differences(
            action.read.partition("?")[0] or action.body, [_without(each, action.unread) for each in wanted], present
        )
        if not lines:
            return
        waits = action.acts and self.enforcement != "enabled"
        if not self.dry and not waits:
            if action.name:
                self.graph.post(f"{place}/{action.name}", {action.body: wanted})
            else:
                kept = {name: each for name, each in body.items() if not _later(KINDS[item.kind], name)}
                tenant = {each: found[each] for each in action.beside if found.get(each) is not None}
                self.graph.put(place, tenant | kept)
        yield Step(verb="waits" if waits else "change", name=item.name, lines=tuple(lines))

    def _find(self, item: Item, body: dict[str, Any]) -> dict[str, Any] | None:
        kind = KINDS[item.kind]
        if kind.given:
            found = self.graph.one(f"{item.collection}/{body['id']}")
            if found is None:
                raise IdentityError(f"{item.name}: the tenant has no {body['id']!r}")
            return found
        title = body[kind.title]
        known = self.state.get(item.name)
        if known and (found := self.graph.one(f"{item.collection}/{known}")) is not None:
            return found
        query = f"?$filter=displayName eq '{title}'" if item.kind == "groups" else ""  # a tenant has many groups
        same = [each for each in self.graph.all(f"{item.collection}{query}") if each.get(kind.title) == title]
        if len(same) > 1:
            raise IdentityError(f"{item.name}: the tenant has {len(same)} objects named {title!r}; rename one")
        return same[0] if same else None

    def _rule(self, item: Item, body: dict[str, Any]) -> Iterator[Step]:
        """A rule of the role settings of the group's membership. Graph makes the policy; rules are only changed."""
        group = self.ids.get(_GROUP)
        if group is None:  # a dry run before the group is there
            yield Step(verb="change", name=item.name, lines=tuple(_leaves(body)))
            return
        query = f"scopeId eq '{group}' and scopeType eq 'Group' and roleDefinitionId eq 'member'"
        policies = list(self.graph.all(f"/v1.0/policies/roleManagementPolicyAssignments?$filter={query}"))
        if len(policies) != 1:
            raise IdentityError(f"{item.name}: PIM has no role settings for {_GROUP} yet; repeat in some minutes")
        place = f"/v1.0/policies/roleManagementPolicies/{policies[0]['policyId']}/rules/{body['id']}"
        found = self.graph.one(place)
        if found is None:
            raise IdentityError(f"{item.name}: PIM has no rule {body['id']!r}")
        if lines := _differences(body, found):
            if not self.dry:
                self.graph.patch(place, body)
            yield Step(verb="change", name=item.name, lines=tuple(lines))

    def _eligibility(self, item: Item, body: dict[str, Any]) -> Iterator[Step]:
        """An eligible assignment is asked for once, and never taken away."""
        group = self.ids.get(_GROUP)
        wanted = (body["principalId"].lower(), body["accessId"])
        present = list(self.graph.all(f"{_SCHEDULES}?$filter=groupId eq '{group}'")) if group else []
        if wanted in {(str(each["principalId"]).lower(), each["accessId"]) for each in present}:
            return
        if not self.dry:
            self.graph.post(item.collection, body)
        yield Step(verb="create", name=item.name, lines=tuple(_leaves(body)))

    def _prune(self, names: set[str]) -> Iterator[Step]:
        for name in [name for name in self.state if name not in names]:
            collection = _collection_of(name, self.graph, self.state[name])
            if collection is not None and not self.dry:
                self.graph.delete(f"{collection}/{self.state[name]}")
            if not self.dry:
                del self.state[name]
            yield Step(verb="delete", name=name)


def _later(kind: Kind, name: str) -> bool:
    return name in kind.actions and kind.actions[name].later


def _joined(wanted: list[Any], present: object) -> list[Any]:
    """The entries of the tenant, without what Graph gives them and the files do not state; then those that it lacks."""
    made = {name for name in _MADE if not any(name in each for each in wanted)}
    kept = (
        [{name: each[name] for name in each if name not in made} for each in present]
        if isinstance(present, list)
        else []
    )
    return kept + [each for each in wanted if not any(not _differences(each, other) for other in kept)]


def _without(value: Any, names: frozenset[str]) -> Any:
    return {name: each for name, each in value.items() if name not in names} if isinstance(value, dict) else value


def _collection_of(name: str, graph: Graph, identifier: str) -> str | None:
    """The collection in which an object of a file that is gone still is."""
    kind = KINDS.get(name.partition("/")[0])
    collections = dict.fromkeys(kind.collections.values()) if kind else {}
    return next((each for each in collections if graph.one(f"{each}/{identifier}") is not None), None)


def _leaves(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [line for name, each in value.items() for line in _leaves(each, f"{path}.{name}" if path else name)]
    return [f"+ {path} = {json.dumps(value)}"]


def _differences(wanted: Mapping[str, Any], found: Mapping[str, Any], path: str = "") -> list[str]:
    """Stated values that the tenant has otherwise. Lists of words are sets: Graph keeps no order, nor each type."""
    lines = []
    for name, value in wanted.items():
        place, present = f"{path}.{name}" if path else name, found.get(name)
        if isinstance(value, dict):
            lines += _differences(value, present if isinstance(present, dict) else {}, place)
        elif isinstance(value, list):
            lines += _list_differences(place, value, present)
        elif value != present and not (present is None and (value == "" or name == TYPE)):
            lines += [f"- {place} = {json.dumps(present)}", f"+ {place} = {json.dumps(value)}"]
    return lines


def _list_differences(place: str, wanted: list[Any], present: object) -> list[str]:
    found = present if isinstance(present, list) else []
    if all(isinstance(each, dict) for each in wanted) and wanted:
        rest = list(found)
        for each in wanted:
            same = next((other for other in rest if isinstance(other, dict) and not _differences(each, other)), None)
            if same is None:
                break
            rest.remove(same)
        else:
            if not rest:
                return []
    elif sorted(map(json.dumps, wanted)) == sorted(map(json.dumps, found)):
        return []
    return [f"- {place} = {json.dumps(found)}", f"+ {place} = {json.dumps(wanted)}"]
