"""What 1-infra asks. Every parameter but two has a default that works in an empty account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from troposphere import Equals, Not, Or, Ref

from generators.kit import parameters
from generators.kit.builder import Builder
from generators.kit.parameters import Question, switch

GROUPS = ("General", "Network", "VPC endpoints", "People", "Studio", "Packages", "Experiment tracking", "Data", "Cost")
ID_LIST = r"^({0}-[0-9a-f]+(,{0}-[0-9a-f]+){1})?$"

VPC_CIDR = Question(
    "VpcCidr", "Address range of the new VPC", "Network",
    "Range of the VPC, /16 to /18; every subnet takes a /20 of it. Choose one that your network does not use; it can't be changed.",
    default="10.192.0.0/16",
    pattern=r"^((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)/(16|17|18)$",
    constraint="An IPv4 range with a prefix of /16, /17 or /18, such as 10.192.0.0/16.",
)  # fmt: skip
SUBNET_COUNT = Question(
    "SubnetCount", "Number of private subnets", "Network",
    "Two or three subnets, each in a zone of its own; every interface endpoint costs money in each of them.",
    default="2", allowed=("2", "3"),
)  # fmt: skip
ZONE_IDS = Question(
    "AvailabilityZoneIds", "Zone ids for the subnets", "Network",
    "Two or three zone ids, separated by commas; left empty, zones that serve every endpoint are chosen. They can't change later.",
    default="", pattern=r"^([a-z]{2,5}\d-az\d+(,[a-z]{2,5}\d-az\d+){1,2})?$",
    constraint="Zone ids such as use1-az1,use1-az2: two or three, or empty.",
)  # fmt: skip
EXISTING_VPC = Question(
    "ExistingVpcId", "Existing VPC", "Network",
    "VPC of this account to use instead of a new one, with DNS support and hostnames on; builds don't run in a VPC that another "
    "account shares. Left empty, one is made. It can't be changed later.",
    default="", pattern=r"^(vpc-[0-9a-f]+)?$", constraint="A VPC id such as vpc-0123456789abcdef0, or empty.",
)  # fmt: skip
EXISTING_SUBNETS = Question(
    "ExistingSubnetIds", "Subnets of the existing VPC", "Network",
    "Two or more private subnets in different zones, separated by commas; only with an existing VPC.",
    default="", pattern=ID_LIST.format("subnet", "{1,7}"),
    constraint="Two to eight subnet ids, separated by commas, or empty.",
)  # fmt: skip
EXISTING_ROUTE_TABLES = Question(
    "ExistingRouteTableIds", "Route tables of the existing subnets", "Network",
    "Route tables that an S3 gateway endpoint is added to, separated by commas; left empty, the VPC must have one already.",
    default="", pattern=ID_LIST.format("rtb", "*"), constraint="Route table ids, separated by commas, or empty.",
)  # fmt: skip
EXISTING_ENDPOINTS_CIDR = Question(
    "ExistingEndpointsCidr", "Address range of existing endpoints", "Network",
    "Range in which the endpoints of an existing VPC or hub stand; Studio and jobs may reach it on port 443.",
    default="", pattern=r"^((\d{1,3}\.){3}\d{1,3}/(1[6-9]|2\d|3[0-2]))?$",
    constraint="An IPv4 range of /16 or smaller, or empty.",
)  # fmt: skip
FLOW_LOGS = switch(
    "EnableFlowLogs", "Flow logs", "Network", "Whether the new VPC writes its flow logs to an encrypted log group."
)
TRUSTED_ACCOUNTS = Question(
    "TrustedAccountIds", "Staging and production accounts", "Network",
    "Accounts that requests from the VPC may reach beside this one, separated by commas; left empty, only this account.",
    default="", pattern=r"^(\d{12}(,\d{12})*)?$", max_length=1000,
    constraint="Account ids of twelve digits, separated by commas, or empty.",
)  # fmt: skip

TRUST = Question(
    "SignInThrough", "How people sign in", "People",
    "Account: IAM users, and people of IAM Identity Center, that an account's policies allow; saml: a SAML provider; "
    "identity-center: named permission sets only.",
    default="account", allowed=("account", "saml", "identity-center"),
)  # fmt: skip
SIGN_IN_ACCOUNT = Question(
    "SignInAccountId", "Account people sign in to", "People",
    "Account whose users, roles or permission sets may take the persona roles; left empty, this account.",
    default="", pattern=r"^(\d{12})?$", constraint="An account id of twelve digits, or empty.",
)  # fmt: skip
SAML_PROVIDER = Question(
    "SamlProviderArn", "SAML provider", "People",
    "SAML provider that signs people in; needed when people sign in through saml, else left empty.",
    default="", pattern=r"^(arn:aws[a-z-]*:iam::\d{12}:saml-provider/[\w+=,.@-]+)?$",
    constraint="The ARN of a SAML provider in IAM, or empty.",
)  # fmt: skip
SAML_AUDIENCE = Question(
    "SamlAudience", "Audience of the SAML assertion", "People",
    "Sign-in page that the assertion is meant for; change it only for China, GovCloud or a regional sign-in page.",
    default="https://signin.aws.amazon.com/saml", pattern=r"^https://[a-z0-9.-]+/saml$",
    constraint="An https address ending in /saml.", max_length=200,
)  # fmt: skip
PERMISSION_SET_PREFIX = Question(
    "PermissionSetPrefix", "Prefix of the permission sets", "People",
    "With identity-center, the permission set PREFIXDataScientist takes the data scientist's role, and so on for each persona.",
    default="Mlops", pattern=r"^[A-Za-z][A-Za-z0-9]{0,12}$", constraint="1 to 13 letters and digits, beginning with a letter.",
)  # fmt: skip
OWNER_FROM = Question(
    "ProfileOwnerFrom", "What ties a person to a Studio profile", "People",
    "With session-tag, the e-mail in the session's tag has to be the profile's owner; with session-name, the session's name.",
    default="session-name", allowed=("session-name", "session-tag"),
)  # fmt: skip
STUDIO_CIDRS = Question(
    "StudioAccessCidr", "Network that Studio may be opened from", "People",
    "Address range that a person must come from to open Studio; left empty, any network.",
    default="", pattern=r"^((\d{1,3}\.){3}\d{1,3}/([89]|[12]\d|3[0-2]))?$", constraint="An IPv4 range, or empty.",
)  # fmt: skip
STUDIO_VPC = Question(
    "StudioAccessVpcId", "Other VPC that Studio may be opened from", "People",
    "With a network above, the VPC through which people come from inside, such as a hub; left empty, only the platform's own.",
    default="", pattern=r"^(vpc-[0-9a-f]+)?$", constraint="A VPC id such as vpc-0123456789abcdef0, or empty.",
)  # fmt: skip
BOUNDARY = Question(
    "ExistingPermissionsBoundaryArn", "Your own permissions boundary", "People",
    "Managed policy that every role carries instead of the platform's own boundary; left empty, the platform's is used.",
    default="", pattern=r"^(arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+)?$",
    constraint="The ARN of a managed policy, or empty.", max_length=200,
)  # fmt: skip
AUTH_MODE = Question(
    "StudioAuthMode", "Studio authentication", "Studio",
    "IAM: through the persona roles; SSO: through IAM Identity Center in this region, experimental. It cannot be changed later.",
    default="IAM", allowed=("IAM", "SSO"),
)  # fmt: skip
IDLE_MINUTES = Question(
    "IdleTimeoutInMinutes", "Minutes until an idle space stops", "Studio",
    "JupyterLab and Code Editor stop after this time without activity, in minutes.",
    type="Number", default=120, min_value=60, max_value=525600,
)  # fmt: skip
SPACE_SIZE = Question(
    "MaxSpaceSizeInGb", "Largest space in GB", "Studio",
    "Largest EBS volume a user may give a space, in GB; a new account allows 500 GB over all spaces.",
    type="Number", default=50, min_value=5, max_value=16384,
)  # fmt: skip

PACKAGE_INDEX = switch(
    "EnablePackageIndex", "Private package index", "Packages",
    "Whether a CodeArtifact repository stands between pip and the public Python Package Index. Without it every push fails, unless "
    "your VPC lets builds reach another index. Once off again, the stack can't take up the index it kept.",
)  # fmt: skip
INTERNAL_PREFIX = Question(
    "InternalPackagePrefix", "Prefix of your own packages", "Packages",
    "Python packages called so, or beginning with it and a hyphen, are only taken from your own repository. Another prefix "
    "later leaves the earlier names unguarded.",
    default="internal", pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=3, max_length=32,
    constraint="3 to 32 lower case letters and digits, with single hyphens between them, such as acme.",
)  # fmt: skip

TRACKING = Question(
    "ExperimentTracking", "Experiment tracking", "Experiment tracking",
    "None; MlflowApp: MLflow without a server to run, encrypted with a key of AWS; TrackingServer: an MLflow server that "
    "costs money while it runs.",
    default="None", allowed=("None", "MlflowApp", "TrackingServer"),
)  # fmt: skip

NOTIFICATION_EMAIL = Question(
    "NotificationEmail", "E-mail for failures", "General",
    "Address that gets a message when a helper function fails or the budget is reached; left empty, nobody is told.",
    default="", pattern=r"^([^@\s]+@[^@\s]+\.[^@\s]+)?$", constraint="An e-mail address, or empty.", max_length=254,
)  # fmt: skip
MONTHLY_BUDGET, TAGS_ACTIVE = parameters.MONTHLY_BUDGET, parameters.TAGS_ACTIVE
DATA_BUCKETS, DATA_KEYS = parameters.DATA_SOURCE_BUCKETS, parameters.DATA_SOURCE_KEYS


@dataclass(frozen=True)
class Asked:
    """References to every answer, by parameter name, and the conditions on them that several sections use."""

    answers: dict[str, Ref]
    creates_vpc: str

    def __getitem__(self, question: Question) -> Ref:
        return self.answers[question.name]


def ask(b: Builder) -> Asked:
    """Ask everything, and hold the answers against each other."""
    everything = [value for value in globals().values() if isinstance(value, Question)]
    shared = [parameters.COST_CENTER, parameters.ASSETS_BUCKET_PREFIX, parameters.LOG_RETENTION]
    answers = {question.name: b.ask(question) for question in (*shared, *everything)}
    creates_vpc = b.when("CreatesVpc", empty(EXISTING_VPC))
    b.when("HasStudioCidr", given(STUDIO_CIDRS))
    b.when("HasStudioVpc", given(STUDIO_VPC))
    _rules(b)
    return Asked(answers, creates_vpc)


def empty(question: Question) -> Equals:
    """Ask whether an answer was left empty."""
    return Equals(Ref(question.name), "")


def given(question: Question) -> Not:
    """Ask whether there is an answer."""
    return Not(empty(question))


def _is(question: Question, value: str) -> Any:
    return Equals(Ref(question.name), value)


def _rules(b: Builder) -> None:
    b.rule("ExistingVpcIsWhole", [
        (given(EXISTING_SUBNETS), "An existing VPC needs ExistingSubnetIds: at least two private subnets of it."),
        (empty(ZONE_IDS), "AvailabilityZoneIds is for a new VPC; with an existing one leave it empty."),
    ], when=given(EXISTING_VPC))  # fmt: skip
    b.rule("NewVpcHasNoExistingParts", [
        (empty(EXISTING_SUBNETS), "ExistingSubnetIds needs ExistingVpcId; name the VPC of these subnets."),
        (empty(EXISTING_ROUTE_TABLES), "ExistingRouteTableIds needs ExistingVpcId; name the VPC of these route tables."),
        (empty(EXISTING_ENDPOINTS_CIDR), "ExistingEndpointsCidr needs ExistingVpcId; a new VPC has its own endpoints."),
    ], when=empty(EXISTING_VPC))  # fmt: skip
    b.rule("SamlHasProvider", [
        (given(SAML_PROVIDER), "Signing in through saml needs SamlProviderArn."),
    ], when=_is(TRUST, "saml"))  # fmt: skip
    b.rule("SessionTagNeedsProvider", [
        (Or(_is(TRUST, "saml"), _is(TRUST, "identity-center")),
         "session-tag needs a provider that sets the tag email; with account sign-in choose session-name."),
    ], when=_is(OWNER_FROM, "session-tag"))  # fmt: skip
    b.rule("BudgetCanWork", [
        (_is(TAGS_ACTIVE, "yes"), "A budget shows zero until the payer activates the cost allocation tag CostCenter; "
                                  "set CostAllocationTagsActive to yes once that is done."),
        (given(NOTIFICATION_EMAIL), "A budget needs NotificationEmail, or nobody learns that it is reached."),
    ], when=Not(_is(MONTHLY_BUDGET, "0")))  # fmt: skip
