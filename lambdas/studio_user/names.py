"""Derive the name of a Studio profile from a person's address and a project: no call, and the same name in every version.

Another name for the same person would replace the profile, so what stands here may be added to, but not changed.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST_NAME = 63  # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateUserProfile.html
LONGEST_ADDRESS = 254
LONGEST_ALIAS = 30
LONGEST_PROJECT = 32
ALIAS = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
PROJECT = re.compile(r"(?!aws|sthree-)[a-z][a-z0-9]*(-[a-z0-9]+)*")
PROFILE = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
DOMAIN = re.compile(r"d-(-*[a-z0-9]){1,61}")
# Beside letters and numbers, of any script: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Tag.html
SIGNS_IN_TAGS = "_.:/=+-@"


class Refused(Exception):
    """What is asked for cannot be; the text, which ends with the mend, becomes the reason that the stack shows."""


class BadAddress(Refused):
    """UserEmail is no address that a profile can be tagged with."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"'{address[:LONGEST_ADDRESS]}' can't be a profile's owner: {why}. Change UserEmail.")


class BadAlias(Refused):
    """UserAlias cannot begin a profile's name."""

    def __init__(self, alias: str) -> None:
        super().__init__(f"'{alias[:80]}' is no alias. Set UserAlias to 1 to {LONGEST_ALIAS} small letters and digits, in groups "
                         "joined by single hyphens, or leave it empty.")  # fmt: skip


class BadProject(Refused):
    """ProjectName is none that a project can have."""

    def __init__(self, project: str) -> None:
        super().__init__(f"'{project[:80]}' is no project's name, which has 1 to {LONGEST_PROJECT} small letters and digits, in "
                         "groups joined by single hyphens, begins with a letter and not with aws or sthree-. Change "
                         "the project's name.")  # fmt: skip


class BadProperty(Refused):
    """A property is missing or of another kind."""

    def __init__(self, name: str, wanted: str) -> None:
        super().__init__(f"{name} has to be {wanted}: mend the template.")


def owner(address: str) -> str:
    """Give an address as its profile's tag holds it: as it was typed, since sign-in compares it letter by letter.

    Raises BadAddress.
    """
    typed = address.strip()
    if not typed:
        raise BadAddress(typed, "it is empty")
    for char in typed:
        if char.isspace():
            raise BadAddress(typed, "it has a space inside")
        if char not in SIGNS_IN_TAGS and unicodedata.category(char)[0] not in "LN":
            raise BadAddress(typed, f"tags of AWS don't take {char!a}, only letters, digits and _.:/=+-@")
    if len(typed) > LONGEST_ADDRESS:
        raise BadAddress(typed, f"it has {len(typed)} characters where {LONGEST_ADDRESS} are the most")
    local, _, host = typed.partition("@")
    if typed.count("@") != 1 or not local or not host:
        raise BadAddress(typed, "it is not of the form name@host")
    return typed


def project_name(text: str) -> str:
    """Give the name of a project as it is, if it is one. Raises BadProject."""
    if len(text) > LONGEST_PROJECT or not PROJECT.fullmatch(text):
        raise BadProject(text)
    return text


def profile_name(address: str, project: str, alias: str = "") -> str:
    """Name the profile of a checked address in a checked project. Raises BadAlias."""
    given = alias.strip()
    if not given:
        return f"{_derived(address, LONGEST_NAME - 1 - len(project))}-{project}"
    if len(given) > LONGEST_ALIAS or not ALIAS.fullmatch(given):
        raise BadAlias(given)
    return f"{given}-{project}"


def digest(text: str) -> str:
    """Give what tells one text from another where it must be short: 64 hexadecimal digits, to be cut."""
    return hashlib.sha256(text.encode()).hexdigest()


def _derived(address: str, room: int) -> str:
    """Make an alias of what stands before the @, at most `room` characters."""
    local = unicodedata.normalize("NFKD", address.partition("@")[0]).casefold()
    bare = "".join(char for char in unicodedata.normalize("NFKD", local) if unicodedata.category(char)[0] != "M")
    alias = re.sub("[^a-z0-9]+", "-", bare).strip("-")
    # The whole address tells people of the same short alias apart; capitals are one person's habit, not two people.
    told_apart = digest(address.casefold())
    if not alias:
        return f"user-{told_apart[:8]}"
    return alias if len(alias) <= room else f"{alias[: room - 7].rstrip('-')}-{told_apart[:6]}"
