"""Questions a template asks: a parameter with its label and group where it is born, and those several templates share."""

from __future__ import annotations

from dataclasses import dataclass

ON_OFF = ("yes", "no")


@dataclass(frozen=True)
class Question:
    """A CloudFormation parameter. `description` is user documentation: what it is, and what an empty value means."""

    name: str
    label: str = ""
    group: str = ""
    description: str = ""
    type: str = "String"
    default: str | int | None = None
    allowed: tuple[str, ...] = ()
    pattern: str = ""
    constraint: str = ""
    min_length: int | None = None
    max_length: int | None = None
    min_value: int | None = None
    max_value: int | None = None


def switch(name: str, label: str, group: str, description: str, default: str = "yes") -> Question:
    """Make a yes/no question. Its name begins with `Enable`, as the house rules say."""
    return Question(name, label, group, description, default=default, allowed=ON_OFF)


COST_CENTER = Question(
    "CostCenter",
    label="Cost center",
    group="General",
    description="Cost center that pays for everything this stack makes; it becomes the tag CostCenter on every resource.",
    pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/=+@-]{0,126}$",
    constraint="1 to 127 letters, digits, spaces or . _ : / = + @ - and beginning with a letter or digit.",
)

ASSETS_BUCKET_PREFIX = Question(
    "AssetsBucketPrefix",
    label="Prefix of the buckets with the published release",
    group="General",
    description="Templates, functions and seed code are read from the bucket PREFIX-REGION; the launch link fills this in.",
    # Bucket names have 63 characters at most; the longest region name takes 14 of them, and its hyphen one.
    pattern=r"^[a-z0-9][a-z0-9-]{1,46}[a-z0-9]$",
    constraint="A bucket name without its region: 3 to 48 lower case letters, digits and hyphens.",
)

LOG_RETENTION = Question(
    "LogRetentionInDays",
    label="Days to keep logs",
    group="General",
    description="How long the platform's own log groups keep their entries, in days.",
    type="Number",
    default="365",
    allowed=tuple(
        str(n) for n in (30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
    ),
)

MONTHLY_BUDGET = Question(
    "MonthlyBudgetInUsd",
    label="Monthly budget in USD",
    group="Cost",
    description="Budget for everything that this stack's cost tag marks, in USD; 0 makes no budget.",
    type="Number",
    default=0,
    min_value=0,
)

TAGS_ACTIVE = Question(
    "CostAllocationTagsActive",
    label="Cost allocation tags are active",
    group="Cost",
    description="Whether the payer account has activated the cost allocation tags CostCenter and mlops:project; without "
    "them a budget shows zero.",
    default="no",
    allowed=ON_OFF,
)

# Buckets of projects end in the project's id; what is another project's is no company data.
_BUCKETS = r"arn:aws[a-z-]*:s3:::(?![a-z0-9.-]*-p-[a-z0-9]{1,18}(,|$))[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
DATA_SOURCE_BUCKETS = Question(
    "DataSourceBucketArns",
    label="Buckets with your company's data",
    group="Data",
    description="Buckets that projects may be given to read, and never to write, separated by commas; left empty, none.",
    default="",
    pattern=rf"^({_BUCKETS}(,{_BUCKETS})*)?$",
    constraint="ARNs of buckets, separated by commas, none of them a project's bucket; or empty.",
    max_length=1000,
)

_KEYS = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[a-z0-9-]+"
DATA_SOURCE_KEYS = Question(
    "DataSourceKeyArns",
    label="Keys of that data",
    group="Data",
    description="Keys that decrypt what is in these buckets, separated by commas; left empty, none.",
    default="",
    pattern=rf"^({_KEYS}(,{_KEYS})*)?$",
    constraint="ARNs of keys (not of aliases), separated by commas, or empty.",
    max_length=1000,
)
