"""Documents rendered from the cards and templates: reference pages, README's tables, .taskcat.yml."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import yaml

from generators.kit import publishing, regions
from generators.kit.parameters import Question
from generators.kit.registry import Rendered
from tools import quotas
from tools.conditions import created, nested_values
from tools.errors import MlopsError

# The region whose quantities the README shows; defaults create the same in every region that has all types.
SHOWN = "us-east-1"
MARK = re.compile(r"(<!-- rendered: (\w+) -->\n).*?(<!-- /rendered -->)", re.DOTALL)


class BrokenMarkers(MlopsError):
    """README's markers are not one pair for each table."""

    def __init__(self, opened: list[str], closed: int) -> None:
        super().__init__(
            f"README.md has the markers {', '.join(opened) or 'none'} and {closed} closing ones. "
            f"Put each of {', '.join(TABLES)} once between `<!-- rendered: NAME -->` and `<!-- /rendered -->`."
        )


def readme(text: str, templates: tuple[Rendered, ...]) -> str:
    """Fill the tables between README's markers."""

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}{TABLES[match[2]](templates)}{match[3]}"

    opened, closed = re.findall(r"<!-- rendered: (\w+) -->", text), text.count("<!-- /rendered -->")
    if sorted(opened) != sorted(TABLES) or len(opened) != closed or len(MARK.findall(text)) != closed:
        raise BrokenMarkers(opened, closed)
    return MARK.sub(fill, text)


def taskcat(templates: tuple[Rendered, ...]) -> str:
    """Render .taskcat.yml: a test for each template, with the trial values of its card."""
    body = {
        "project": {
            "name": "mlops-cloudformation",
            # The functions' zips are made by `inv publish`; taskcat would build them again, without their dependencies.
            "package_lambda": False,
            "regions": list(regions.names()),
        },
        "tests": {
            item.stack.name: {
                "template": f"templates/{item.stack.name}.yaml",
                "parameters": dict(item.stack.trial.parameters),
            }
            for item in templates
            if item.stack.launch
        },
    }
    return "# Rendered from the cards in generators/ by `inv build`. Change it there.\n" + yaml.safe_dump(
        body, sort_keys=False
    )


def reference(item: Rendered) -> str:
    """Render the reference page of a template."""
    body, stack = item.body, item.stack
    made = created(body, stack.trial.parameters, SHOWN)
    lines = [
        f"<!-- Rendered from {item.generator.source} by `inv build`. Change it there. -->",
        f"# {stack.name}: {stack.title}",
        "",
        f"{stack.summary[0].upper()}{stack.summary[1:]}. " + _launched(item),
        "",
        f"Template: `templates/{stack.name}.yaml`; capabilities: "
        f"{', '.join(body['Metadata']['MlopsTemplate']['Capabilities']) or 'none'}.",
        "",
        "## Parameters",
        "",
        *_parameters(item),
        *_rules(body),
        "## Outputs",
        "",
        *_table(
            ("Output", "What", "SSM parameter"),
            ((name, out["Description"], _path(item, name)) for name, out in body["Outputs"].items()),
        ),
        "",
        "## Resources",
        "",
        f"{len(made)} of {len(body['Resources'])} resources {_values_shown(item)}; the condition says when each is made.",
        "",
        *_table(
            ("Logical id", "Type", "Made when", "Kept on delete"),
            (
                (name, resource["Type"], resource.get("Condition", "always"), "yes" if _kept(resource) else "")
                for name, resource in body["Resources"].items()
            ),
        ),
        "",
        "## Conditions",
        "",
        *_table(
            ("Condition", "Holds when"),
            ((name, f"`{_text(value)}`") for name, value in body.get("Conditions", {}).items()),
        ),
        "",
        "## What linters say that is right here",
        "",
        *_table(
            ("Resource", "Rule", "Reason"),
            (
                (name, rule, reason)
                for name, resource in body["Resources"].items()
                for rule, reason in resource.get("Metadata", {}).get("MlopsAccepted", {}).items()
            ),
        ),
    ]
    return "\n".join(lines) + "\n"


def _launched(item: Rendered) -> str:
    stack = item.stack
    if stack.nested_in:
        return f"Launched by {stack.nested_in} as a nested stack, never by a person."
    if stack.product:
        where = "Studio (Projects) or Service Catalog" if stack.product.in_studio else "Service Catalog"
        return f"Launched from {where} as the product {stack.product.title}, after {', '.join(stack.needs)}."
    return f"Launched in the {stack.account} account" + (f", after {', '.join(stack.needs)}." if stack.needs else ".")


def _values_shown(item: Rendered) -> str:
    return "with the values of its trial" if item.stack.nested_in else "with the default values"


def region_page() -> str:
    """Render the page that says what differs from region to region, and where that was found."""
    sources = json.loads((publishing.ROOT / "tools" / "region_sources.json").read_text(encoding="utf-8"))["sources"]
    rows = (
        (
            region.name,
            ", ".join(region.zones),
            ", ".join(kind.removeprefix("AWS::") for kind in region.lacks) or "nothing",
            str(len(region.registries)),
        )
        for region in regions.launch_regions()
    )
    lines = [
        "<!-- Rendered from generators/kit/regions.json and tools/region_sources.json by `inv build`. Change it there. -->",
        "# Regions",
        "",
        "A region is offered when the registry schemas have every type that a launch with the defaults makes there. What else",
        "it lacks, the template switches off by itself. `./inv facts --check` says so for every region of the sources.",
        "",
        *_table(("Region", "Zones, in the order they are tried", "Switched off", "AWS image registries"), rows),
        "",
        "Zones are asked for at launch: the function `network_facts` keeps those of this order that exist in the account and",
        "serve every endpoint, and takes others when too few do. The id of S3's prefix list is looked up by the same function.",
        "",
        "## Sources",
        "",
        *(f"- **{name}**: {text}" for name, text in sources.items()),
    ]
    return "\n".join(lines) + "\n"


def quota_page(templates: tuple[Rendered, ...]) -> str:
    """Render the page that says what a project and a user take of each quota, and how many fit."""
    found = quotas.quotas(templates)
    exist, run = [quota for quota in found if not quota.at_once], [quota for quota in found if quota.at_once]
    short = [quota.name for quota in found if quota.fewest == 0]
    lines = [
        "<!-- Rendered from tools/quotas.json, generators/infra/quotas.json and the templates by `inv build`. Change it there. -->",
        "# Quotas",
        "",
        "What the base stack, one project and one user take of each quota of an account and region, and how many fit beside the",
        "base with AWS's defaults: in the order in which they bind. Resources are counted in the templates, launched with their",
        "defaults; what is used at run time stands below with its reason. `./inv quotas` shows the same, and with credentials in",
        "the environment by the account's own values, which are often higher than the defaults.",
        "",
        "Raise before the second user: Studio user profiles. Raise before the pipelines of a first project, for what they",
        f"run at the same time: {'; '.join(short) or 'nothing'}.",
        "",
        "## What exists",
        "",
        *_quotas(exist),
        "",
        "(account) marks quotas of the account, whatever the region.",
        "",
        "## What runs at the same time",
        "",
        "Projects and users that can do all of it at once; others wait, or are refused until something ends. Where staging and",
        "production are accounts of their own, their endpoints count there. Endpoints come with the pipeline that deploys models,",
        "which this version does not have yet; ask for them in time.",
        "",
        *_quotas(run),
        "",
        "## What is used at run time, and other notes",
        "",
        *_table(("Quota", "Why"), ((f"{quota.service}: {quota.name}", quota.why) for quota in found if quota.why)),
        "",
        "## Rates",
        "",
        *_table(
            ("Calls", "Limit", "Adjustable", "What it means", "Source"),
            (
                (rate["name"], rate["value"], "yes" if rate["adjustable"] else "no", rate["why"], f"[page]({rate['source']})")
                for rate in quotas.rates()
            ),
        ),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _quotas(found: Iterable[quotas.Quota]) -> list[str]:
    return _table(
        ("Quota", "Default", "Adjustable", "Base", "Project", "User", "Projects that fit", "Users that fit", "Source"),
        (
            (
                f"{quota.service}: {quota.name}" + (" (account)" if quota.scope == "account" else ""),
                quotas.number(quota.default),
                {True: "yes", False: "no", None: "unknown"}[quota.adjustable],
                *map(str, (quota.platform, quota.project, quota.user)),
                quotas.fit(quota, quota.project, quota.projects_fit),
                quotas.fit(quota, quota.user, quota.users_fit),
                f"[page]({quota.source})" if quota.source else "unknown",
            )
            for quota in found
        ),
    )


def _parameters(item: Rendered) -> Iterable[str]:
    for group in item.stack.groups:
        asked = [question for question in item.builder.questions.values() if question.group == group]
        if not asked:
            continue
        yield f"### {group}"
        yield ""
        yield from _table(
            ("Parameter", "What it is", "Default", "Values"),
            (
                (
                    f"`{question.name}`",
                    f"**{question.label}.** {question.description}",
                    "(required)"
                    if question.default is None
                    else f"`{question.default}`"
                    if question.default != ""
                    else "(empty)",
                    ", ".join(question.allowed) or question.constraint or _bounds(question),
                )
                for question in asked
            ),
        )
        yield ""


def _bounds(question: Question) -> str:
    if question.min_value is None:
        return ""
    return (
        f"{question.min_value} to {question.max_value}"
        if question.max_value is not None
        else f"{question.min_value} or more"
    )


def _rules(body: dict[str, Any]) -> list[str]:
    sentences = [check["AssertDescription"] for rule in body.get("Rules", {}).values() for check in rule["Assertions"]]
    if not sentences:
        return []
    head = ["## Rules", "", "A launch that breaks one of these is refused before anything is made.", ""]
    return [*head, *(f"- {sentence}" for sentence in sentences), ""]


def _path(item: Rendered, output: str) -> str:
    return next((f"`{contract.ssm}`" for contract in item.builder.published if contract.name == output), "")


def _kept(resource: dict[str, Any]) -> bool:
    return str(resource.get("DeletionPolicy", "Delete")).startswith("Retain")


def _text(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1:
        ((name, inner),) = value.items()
        if name in ("Ref", "Condition"):
            return str(inner)
        return f"{name.removeprefix('Fn::')}({', '.join(_text(part) for part in inner)})"
    return repr(value) if isinstance(value, str) else str(value)


def _launch(templates: tuple[Rendered, ...]) -> str:
    prefix = publishing.configured_prefix()
    launched = [item.stack for item in templates if item.stack.launch]
    if not prefix:
        return (
            "Nobody has published a release under this project's name yet. Publish one to buckets of your own:\n\n"
            "```\n./inv publish --bucket-prefix PREFIX --org-id o-...\n./inv links --bucket-prefix PREFIX\n```\n\n"
            f"Regions: {', '.join(regions.names())}.\n"
        )
    rows = (
        (region, *(f"[Launch]({publishing.launch_url(stack, prefix, region)})" for stack in launched))
        for region in regions.names()
    )
    return "\n".join(_table(("Region", *(stack.name for stack in launched)), rows)) + "\n"


def _templates(templates: tuple[Rendered, ...]) -> str:
    rows = (
        (
            f"[`{item.stack.name}.yaml`](docs/reference/{item.stack.name}.md)",
            item.stack.title,
            item.stack.summary,
            item.stack.account,
        )
        for item in templates
    )
    return "\n".join(_table(("Template", "Title", "What it makes", "Account"), rows)) + "\n"


def _quantities(templates: tuple[Rendered, ...]) -> str:
    """Count what a launch with the defaults makes, by type."""
    parts = []
    bodies = {item.stack.name: item.body for item in templates}
    for item in templates:
        if not (item.stack.launch or item.stack.product):
            continue
        counted = Counter(created(item.body, item.stack.trial.parameters, SHOWN).values())
        within = nested_values(item.body, item.stack.trial.parameters, SHOWN)
        for name, values in within.items():
            counted.update(created(bodies[name], values, SHOWN).values())
        rows = ((kind.removeprefix("AWS::"), str(number)) for kind, number in sorted(counted.items()))
        nesting = f", those of its nested {', '.join(f'`{name}`' for name in within)} with it" if within else ""
        number = sum(counted.values())
        many = "s" if number > 1 else ""
        parts.append(f"`{item.stack.name}` with its defaults: {number} resource{many}{nesting}.\n")
        parts.append("\n".join(_table(("Type", "Number"), rows)) + "\n")
    return "\n".join(parts)


TABLES: dict[str, Callable[[tuple[Rendered, ...]], str]] = {
    "launch": _launch,
    "templates": _templates,
    "quantities": _quantities,
}


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    body = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    if not body:
        return ["None."]
    return [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *(f"| {row} |" for row in body)]
