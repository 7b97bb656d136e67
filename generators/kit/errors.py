"""Errors of the generators. Each message ends with the change that mends it."""

from __future__ import annotations


class GeneratorError(Exception):
    """A generator says something that can't be rendered."""


class DuplicateName(GeneratorError):
    """Two things of one template, or two templates, carry the same name."""

    def __init__(self, kind: str, name: str, where: str) -> None:
        super().__init__(f"{where}: the {kind} '{name}' is there twice. Rename one of them.")


class BadName(GeneratorError):
    """A name breaks a rule of docs/house-rules or of CloudFormation."""

    def __init__(self, kind: str, name: str, rule: str, where: str) -> None:
        super().__init__(f"{where}: the {kind} '{name}' is not allowed: {rule}. Rename it.")


class IncompleteQuestion(GeneratorError):
    """A parameter lacks what its reader needs."""

    def __init__(self, name: str, missing: str, where: str) -> None:
        super().__init__(f"{where}: the parameter '{name}' has no {missing}. Add `{missing}=` to its Question.")


class UnknownGroup(GeneratorError):
    """A parameter names a group that the card does not list."""

    def __init__(self, name: str, group: str, groups: tuple[str, ...], where: str) -> None:
        super().__init__(
            f"{where}: the parameter '{name}' is in the group '{group}', which the card does not list "
            f"({', '.join(groups)}). Add the group to `STACK.groups`, or use one of these."
        )


class UnpublishedContract(GeneratorError):
    """A template consumes a value that no template it needs publishes."""

    def __init__(self, contract: str, stack: str, needs: tuple[str, ...]) -> None:
        super().__init__(
            f"{stack} consumes '{contract}', which none of the templates it needs ({', '.join(needs) or 'none'}) "
            f"publishes. Publish that contract of generators/kit/contracts.py there with `b.publish`, or add the template "
            f"to `STACK.needs`."
        )


class MissingCard(GeneratorError):
    """A module in generators/ has no card or no build function."""

    def __init__(self, module: str, missing: str) -> None:
        super().__init__(f"{module} has no {missing}. Add it, or move the module to generators/kit/.")


class MissingAsset(GeneratorError):
    """A template names a function or a seed that has no folder."""

    def __init__(self, kind: str, name: str, folder: str) -> None:
        super().__init__(f"There is no {kind} '{name}': {folder} is missing. Make the folder, or name one that exists.")


class BadVersion(GeneratorError):
    """The version in pyproject.toml can't be published."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"'{version}' is no version that can be published. Write it as 1.2.3 or 1.2.3rc1 in pyproject.toml."
        )


class BadCard(GeneratorError):
    """A card says something that can't be."""

    def __init__(self, source: str, what: str) -> None:
        super().__init__(f"{source}: the card {what}. Mend `STACK` there.")


class CantBuild(GeneratorError):
    """A generator's own code went wrong, mostly on a property that troposphere does not take."""

    def __init__(self, source: str, place: str, error: Exception) -> None:
        super().__init__(
            f"{place or source}: {type(error).__name__}: {error}. Mend it there; the resource's page of AWS has its properties."
        )


class UnknownCondition(GeneratorError):
    """A resource stands under a condition that the template does not have."""

    def __init__(self, resource: str, condition: str, where: str) -> None:
        super().__init__(
            f"{where}: {resource} stands under '{condition}', which nothing defines. Define it with `b.when(...)`."
        )
