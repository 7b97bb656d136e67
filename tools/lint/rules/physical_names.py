"""MLOPS015: AWS names things, unless somebody outside the stack has to know the name."""

from __future__ import annotations

from collections.abc import Iterator

from tools.lint.model import Problem, Resource, Rule, Template
from tools.lint.schemas import create_only, properties_of

# Names that are promises of ours (docs: names to keep); everybody reads them by this path.
PROMISED = {"AWS::SSM::Parameter": "/mlops/"}

# A name inside a role, which no other role's policies collide with.
INSIDE = frozenset({"AWS::IAM::RolePolicy", "AWS::IAM::GroupPolicy", "AWS::IAM::UserPolicy"})

# Can be renamed in place, and still collide with a thing that was kept.
RENAMED = {"AWS::CodeCommit::Repository": "RepositoryName"}


def check(template: Template) -> Iterator[Problem]:
    """Find names that replace the resource when they change, and that a second stack or a retained thing would hold."""
    for resource in template.resources():
        name = None if resource.type in INSIDE else _name_property(resource)
        if name is None:
            continue
        texts = template.texts(resource.properties[name])
        promised = PROMISED.get(resource.type)
        if not texts or (promised and all(text.startswith(promised) for text in texts)):
            continue
        mend = f"leave {name} out, or accept it with a reason that says who needs the name and why it is unique"
        yield Problem(resource.name, f"{name} is fixed", mend)


def _name_property(resource: Resource) -> str | None:
    """Give the property that names the thing itself: RoleName of a Role, GroupName of a SecurityGroup, Name."""
    kind = resource.type.rpartition("::")[2]
    fixed = create_only(resource.type)
    for name in resource.properties:
        if RENAMED.get(resource.type) == name:
            return str(name)
        own = name.endswith("Name") and kind.endswith(name.removesuffix("Name"))
        if own and f"/properties/{name}" in fixed and name in properties_of(resource.type):
            return str(name)
    return None


RULE = Rule(
    "MLOPS015",
    "Physical names only where they are needed",
    "A fixed name collides with what an earlier stack kept, and makes every replacement fail.",
    check,
)
