"""From an address to a profile's name: whatever is typed, SageMaker takes the name or the person gets a reason."""

from __future__ import annotations

import re
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")  # else it leaves a folder in the repository

PROFILE = re.compile("[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
IN_TAGS = frozenset("_.:/=+-@")
# The fixture is only an import; and the same examples every time, so that a failure stays to be looked at.
CHECK = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True, database=None, deadline=None
)

tag_letters = st.characters(categories=("L", "N"), include_characters="_.:/=+-")
locals_ = st.text(tag_letters, min_size=1, max_size=120)
addresses = st.builds(lambda local, host: f"{local}@{host}", locals_, st.text(tag_letters, min_size=1, max_size=60))
groups = st.lists(st.from_regex("[a-z0-9]+", fullmatch=True), min_size=1, max_size=5).map("-".join)
projects = groups.map(lambda text: f"p{text}").filter(lambda text: len(text) <= 32)
aliases = groups.filter(lambda text: len(text) <= 30)


@pytest.fixture
def names(load: Callable[[str, str], ModuleType]) -> Any:
    return load("studio_user", "names")


@CHECK
@given(addresses, projects)
def test_every_address_has_a_name_that_sagemaker_takes(names: Any, address: str, project: str) -> None:
    assert names.owner(address) == address
    name = names.profile_name(address, project)
    assert PROFILE.fullmatch(name)
    assert len(name) <= 63
    assert name == name.lower()
    assert "--" not in name
    assert name.endswith(f"-{project}")
    assert len(name) > len(project) + 1
    assert names.profile_name(address, project) == name


@CHECK
@given(aliases, addresses, projects)
def test_an_alias_stands_in_the_name_as_it_is(names: Any, alias: str, address: str, project: str) -> None:
    name = names.profile_name(address, project, f" {alias} ")
    assert name == f"{alias}-{project}"
    assert PROFILE.fullmatch(name)


@CHECK
@given(st.text(max_size=300), projects)
def test_whatever_is_typed_becomes_a_name_or_a_reason(names: Any, typed: str, project: str) -> None:
    try:
        owner = names.owner(typed)
    except names.BadAddress as error:
        assert str(error).endswith("Change UserEmail.")
        return
    assert owner == typed.strip()
    assert all(char in IN_TAGS or unicodedata.category(char)[0] in "LN" for char in owner)
    assert 3 <= len(owner) <= 254
    assert PROFILE.fullmatch(names.profile_name(owner, project))


@CHECK
@given(st.text(max_size=40), projects)
def test_whatever_alias_is_typed_becomes_a_name_or_a_reason(names: Any, typed: str, project: str) -> None:
    assume(typed.strip())
    try:
        name = names.profile_name("a@b", project, typed)
    except names.BadAlias as error:
        assert "Set UserAlias to" in str(error)
        return
    assert PROFILE.fullmatch(name)
    assert len(name) <= 63


@CHECK
@given(st.text(max_size=50))
def test_whatever_project_is_typed_is_one_or_gives_a_reason(names: Any, typed: str) -> None:
    try:
        project = names.project_name(typed)
    except names.BadProject as error:
        assert str(error).endswith("Change the project's name.")
        return
    assert re.fullmatch("(?!aws|sthree-)[a-z][a-z0-9]*(-[a-z0-9]+)*", project)
    assert len(project) <= 32


@CHECK
@given(st.sets(st.from_regex(r"[a-z]{40,80}@[a-z]{1,9}", fullmatch=True), min_size=2, max_size=8))
def test_long_addresses_that_differ_have_names_that_differ(names: Any, several: set[str]) -> None:
    assert len({names.profile_name(one, "churn") for one in several}) == len(several)


@CHECK
@given(st.from_regex(r"[A-Za-z]{1,20}@[A-Za-z]{1,9}", fullmatch=True))
def test_capitals_do_not_make_another_person(names: Any, address: str) -> None:
    assert names.profile_name(address, "churn") == names.profile_name(address.swapcase(), "churn")
    assert names.owner(address) == address


@pytest.mark.parametrize("address", ["ДМИТРИЙ@Example.org", f"{'aB' * 40}@example.org"])
def test_capitals_do_not_make_another_person_where_a_hash_tells_people_apart(names: Any, address: str) -> None:
    assert names.profile_name(address, "churn") == names.profile_name(address.lower(), "churn")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("anna@example.org", "anna-churn"),
        ("Anna.Maria@Example.org", "anna-maria-churn"),
        ("anna+test@example.org", "anna-test-churn"),
        ("anna..+_b@example.org", "anna-b-churn"),
        (".anna.@example.org", "anna-churn"),
        ("Ä.Öztürk@example.org", "a-ozturk-churn"),
        ("straße@example.org", "strasse-churn"),
        ("ﬁnn@example.org", "finn-churn"),
        ("\u210cans@example.org", "hans-churn"),
        ("4711@example.org", "4711-churn"),
        ("a@b", "a-churn"),
    ],
)
def test_names_that_people_recognise(names: Any, address: str, name: str) -> None:
    assert names.profile_name(names.owner(address), "churn") == name


# Written down, since another name for the same person would replace the profile and its spaces.
@pytest.mark.parametrize(
    ("address", "project", "name"),
    [
        ("李雷@example.org", "churn", "user-6012f6e5-churn"),
        ("+++@example.org", "churn", "user-4a6407fb-churn"),
        (f"{'a' * 64}@example.org", "churn", f"{'a' * 50}-1d0dfd-churn"),
        (f"{'a' * 31}@example.org", "p" * 32, f"{'a' * 23}-73fa7c-{'p' * 32}"),
        (f"{'a' * 22}-bbbbbbbbb@example.org", "p" * 32, f"{'a' * 22}-f6c014-{'p' * 32}"),
    ],
)
def test_names_with_a_hash_stay_as_they_are(names: Any, address: str, project: str, name: str) -> None:
    assert names.profile_name(names.owner(address), project) == name


@pytest.mark.parametrize("room", [29, 30, 31])
def test_an_alias_is_cut_only_when_it_is_too_long(names: Any, room: int) -> None:
    name = names.profile_name(f"{'a' * room}@example.org", "p" * 32)
    assert (name == f"{'a' * room}-{'p' * 32}") == (room <= 30)
    assert len(name) <= 63
    if room > 30:
        assert re.fullmatch(f"a{{23}}-[0-9a-f]{{6}}-{'p' * 32}", name)


def test_the_same_unreadable_alias_at_two_hosts_is_two_people(names: Any) -> None:
    assert names.profile_name("李雷@a.org", "churn") != names.profile_name("李雷@b.org", "churn")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "it is empty"),
        ("  \t", "it is empty"),
        ("anna", "not of the form name@host"),
        ("anna@", "not of the form name@host"),
        ("@example.org", "not of the form name@host"),
        ("anna@b@c", "not of the form name@host"),
        ("anna b@example.org", "it has a space inside"),
        ("anna\u00a0b@example.org", "it has a space inside"),
        ("o'hara@example.org", "tags of AWS don't take \"'\""),
        ("anna@example.org\x00", r"tags of AWS don't take '\x00'"),
        ("a\u0308@example.org", r"tags of AWS don't take '\u0308'"),
        ("anna\u200b@example.org", r"tags of AWS don't take '\u200b'"),
        ("\ud800@example.org", r"tags of AWS don't take '\ud800'"),
        ("anna<b>@example.org", "tags of AWS don't take '<'"),
        (f"{'a' * 243}@example.org", "it has 255 characters where 254 are the most"),
    ],
)
def test_addresses_that_cannot_be_tagged(names: Any, address: str, why: str) -> None:
    with pytest.raises(names.BadAddress, match=re.escape(why)) as raised:
        names.owner(address)
    assert str(raised.value).endswith(". Change UserEmail.")


def test_the_longest_address(names: Any) -> None:
    address = f"{'a' * 242}@example.org"
    assert len(names.owner(f" {address}\n")) == 254


@pytest.mark.parametrize("alias", ["Anna", "anna_b", "-anna", "anna-", "a--b", "änna", "a" * 31, "anna b", "anna\n-b"])
def test_aliases_that_are_none(names: Any, alias: str) -> None:
    with pytest.raises(names.BadAlias):
        names.profile_name("anna@example.org", "churn", alias)


def test_the_longest_alias_and_project(names: Any) -> None:
    assert len(names.profile_name("anna@example.org", "p" * 32, "a" * 30)) == 63


@pytest.mark.parametrize(
    "project",
    ["", "Churn", "churn_eu", "1churn", "-churn", "churn-", "a--b", "aws", "awsome", "sthree-x", "p" * 33, "a\n"],
)
def test_projects_that_are_none(names: Any, project: str) -> None:
    with pytest.raises(names.BadProject):
        names.project_name(project)


@pytest.mark.parametrize("project", ["a", "p" * 32, "churn-eu-2", "sthree", "aw"])
def test_projects_at_their_limits(names: Any, project: str) -> None:
    assert names.project_name(project) == project
