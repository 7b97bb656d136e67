"""The evaluator answers known cases as IAM's documentation answers them, and refuses what it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from proofs.errors import Unreadable
from proofs.evaluator import Request, covers, decide, read

ARN = "arn:aws:s3:::churn-data/models/1"
REVIEWED = frozenset({"k", "tag/", "other"})


def policy(**statement: Any) -> dict[str, Any]:
    whole = {"Sid": "S", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **statement}
    return {"Version": "2012-10-17", "Statement": {key: value for key, value in whole.items() if value is not None}}


def allows(document: Any, action: str = "s3:GetObject", resource: str = ARN, **context: Any) -> bool:
    keys = {key.replace("__", "/").replace("_", ":"): value for key, value in context.items()}
    return decide(read(document, "P"), Request(action, resource, keys, REVIEWED)).allowed


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Action": "s3:GetObject"}, True),
        ({"Action": "S3:getobject"}, True),
        ({"Action": "s3:Get*"}, True),
        ({"Action": "s3:GetObjec?"}, True),
        ({"Action": "s3:GetObject?"}, False),
        ({"Action": ["s3:PutObject", "s3:List*"]}, False),
        ({"Action": "*"}, True),
        ({"Action": None, "NotAction": "s3:Put*"}, True),
        ({"Action": None, "NotAction": ["s3:Get*"]}, False),
        ({"Resource": ARN}, True),
        ({"Resource": ARN.upper()}, False),
        ({"Resource": "arn:aws:s3:::churn-*"}, True),
        ({"Resource": "arn:aws:s3:::churn-*/models/*"}, True),
        ({"Resource": "arn:aws:s3:::churn-????/models/1"}, True),
        ({"Resource": "arn:aws:s3:::other-*"}, False),
        ({"Resource": None, "NotResource": "arn:aws:s3:::churn-*"}, False),
        ({"Resource": None, "NotResource": "arn:aws:s3:::other-*"}, True),
        ({"Effect": "Deny"}, False),
    ],
)
def test_actions_and_resources(statement: dict[str, Any], expected: bool) -> None:
    assert allows(policy(**statement)) is expected


def test_wildcards_that_may_pass_a_colon_are_read_narrowly_to_allow_and_widely_to_deny() -> None:
    arn = "arn:aws:logs:us-east-1:123456789012:log-group:a:log-stream:b"
    middle = "arn:aws:logs:*1:log-group:a:log-stream:b"
    assert not allows(policy(Action="logs:*", Resource=middle), "logs:GetLogEvents", arn)
    both = [policy(Action="logs:*")["Statement"], policy(Effect="Deny", Action="logs:*", Resource=middle)["Statement"]]
    denied = arn.replace("123456789012", "123456789011")
    assert not allows({"Version": "2012-10-17", "Statement": both}, "logs:GetLogEvents", denied)
    assert allows(policy(Action="logs:*", Resource="arn:aws:logs:*:*:log-group:*"), "logs:GetLogEvents", arn)


# Operator, the policy's values, and the outcome for a key that fits, one that does not, and a missing one.
@pytest.mark.parametrize(
    ("operator", "wanted", "fitting", "other", "missing"),
    [
        ("StringEquals", ["a", "b"], "b", "B", False),
        ("StringNotEquals", ["a", "b"], "c", "a", True),
        ("StringEqualsIgnoreCase", "Ab", "aB", "abc", False),
        ("StringNotEqualsIgnoreCase", "Ab", "abc", "aB", True),
        ("StringLike", "a*?", "abc", "a", False),
        ("StringNotLike", "a*", "b", "abc", True),
        ("ArnLike", "arn:aws:iam::*:role/x/*", "arn:aws:iam::1:role/x/y", "arn:aws:iam::1:role/z", False),
        ("ArnEquals", "arn:aws:iam::*:role/x", "arn:aws:iam::1:role/x", "no arn", False),
        ("ArnLike", "arn:aws:iam::*", "arn:aws:iam::1:role/x", "arn:aws:iam::1:role/x", None),
        ("ArnNotLike", "arn:aws:iam::1:role/x", "arn:aws:iam::1:role/y", "arn:aws:iam::1:role/x", True),
        ("ArnNotEquals", "arn:aws:iam::1:role/x", "arn:aws:iam::2:role/x", "arn:aws:iam::1:role/x", True),
        ("Bool", "true", "TRUE", "false", False),
        ("NumericEquals", "3", "3.0", "4", False),
        ("NumericNotEquals", "3", "4", "3", True),
        ("NumericLessThan", "3", "2", "3", False),
        ("NumericLessThanEquals", "3", "3", "4", False),
        ("NumericGreaterThan", "3", "4", "3", False),
        ("NumericGreaterThanEquals", "3", "3", "two", False),
        ("IpAddress", "10.0.0.0/8", "10.1.2.3", "11.0.0.1", False),
        ("NotIpAddress", "10.0.0.0/8", "11.0.0.1", "10.1.2.3", True),
        ("StringEqualsIfExists", "a", "a", "b", True),
        ("StringNotEqualsIfExists", "a", "b", "a", True),
        ("BoolIfExists", "true", "true", "false", True),
        ("ArnLikeIfExists", "arn:aws:iam::1:role/x", "arn:aws:iam::1:role/x", "arn:aws:iam::1:role/y", True),
        ("Null", "false", "anything", None, False),
    ],
)
def test_operators(operator: str, wanted: Any, fitting: str, other: str | None, missing: bool | None) -> None:
    document = policy(Condition={operator: {"k": wanted}})
    if missing is None:  # a pattern of fewer segments than an ARN fits none
        assert not allows(document, k=fitting)
        return
    assert allows(document, k=fitting)
    assert other is None or not allows(document, k=other)
    assert allows(document) is missing


def test_null_asks_whether_a_key_is_missing() -> None:
    assert allows(policy(Condition={"Null": {"k": "true"}}))
    assert not allows(policy(Condition={"Null": {"k": "true"}}), k="x")


# As the tables of the page on multivalued keys have them.
@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("ForAllValues:StringEquals", ("a",), True),
        ("ForAllValues:StringEquals", ("a", "b"), True),
        ("ForAllValues:StringEquals", ("a", "dept"), False),
        ("ForAllValues:StringEquals", (), True),
        ("ForAnyValue:StringEquals", ("a", "dept"), True),
        ("ForAnyValue:StringEquals", ("dept",), False),
        ("ForAnyValue:StringEquals", (), False),
        ("ForAnyValue:StringNotEquals", ("a", "dept"), True),
        ("ForAnyValue:StringNotEquals", ("a", "b"), False),
        ("ForAnyValue:StringNotEquals", (), False),
        ("ForAllValues:StringNotEquals", ("dept",), True),
        ("ForAllValues:StringNotEquals", ("a", "dept"), False),
        ("ForAllValues:StringNotEquals", (), True),
        ("ForAnyValue:StringLike", ("ab",), False),
        ("ForAnyValue:StringEqualsIfExists", (), True),
    ],
)
def test_set_operators(operator: str, values: tuple[str, ...], expected: bool) -> None:
    assert allows(policy(Condition={operator: {"k": ["a", "b"]}}), k=values) is expected


def test_every_key_and_operator_has_to_hold() -> None:
    condition = {"StringEquals": {"k": "a", "other": "b"}, "Null": {"k": "false"}}
    assert allows(policy(Condition=condition), k="a", other="b")
    assert not allows(policy(Condition=condition), k="a", other="c")
    assert not allows(policy(Condition=condition), k="a")


def test_a_deny_with_a_missing_key_denies_only_where_iam_does() -> None:
    allow = policy()["Statement"]
    inverted = policy(Effect="Deny", Condition={"StringNotEquals": {"k": "a"}})["Statement"]
    plain = policy(Effect="Deny", Condition={"StringEquals": {"k": "a"}})["Statement"]
    assert not allows({"Version": "2012-10-17", "Statement": [allow, inverted]})
    assert allows({"Version": "2012-10-17", "Statement": [allow, plain]})


def test_the_reason_names_the_statement() -> None:
    both = {"Version": "2012-10-17", "Statement": [policy()["Statement"], policy(Sid="No", Effect="Deny")["Statement"]]}
    decision = decide(read(both, "Role/Inline"), Request("s3:GetObject", ARN))
    assert (decision.allowed_by, decision.denied_by) == ("Role/Inline/S", "Role/Inline/No")
    assert decision.reason == "denied by Role/Inline/No"
    assert decide((), Request("s3:GetObject", ARN)).reason == "allowed by no statement"


def test_keys_are_known_by_their_prefix_and_in_any_case() -> None:
    assert allows(policy(Condition={"StringEquals": {"TAG/Mlops:Project": "churn"}}), **{"tag__mlops_project": "churn"})
    assert not allows(policy(Condition={"StringEquals": {"tag/none": "churn"}}))


@pytest.mark.parametrize(
    ("resource", "context", "expected"),
    [
        ("arn:aws:s3:::${k}-data/*", {"k": "churn"}, True),
        ("arn:aws:s3:::${k}-data/*", {"k": "other"}, False),
        ("arn:aws:s3:::${k}-data/*", {"k": "*"}, False),  # a wildcard that comes out of a value is a character
        ("arn:aws:s3:::${k}-data/*", {}, False),  # no value: like no resource
        ("arn:aws:s3:::${k, 'churn'}-data/*", {}, True),
    ],
)
def test_variables_in_resources(resource: str, context: dict[str, str], expected: bool) -> None:
    assert allows(policy(Resource=resource), **context) is expected


def test_variables_in_conditions() -> None:
    like = policy(Condition={"StringLike": {"k": "*:${other}"}})
    assert allows(like, k="id:ana", other="ana")
    assert not allows(like, k="id:ana", other="bob")
    assert not allows(like, k="id:ana", other="*")
    assert not allows(like, k="id:ana")  # equal to nothing
    assert allows(policy(Condition={"StringNotEquals": {"k": "${other}"}}), k="ana")  # and so unequal to everything
    assert allows(policy(Condition={"StringEquals": {"k": "${*}"}}), k="*")
    arn = policy(Condition={"ArnLike": {"k": "arn:aws:iam::1:role/${other}"}})
    assert allows(arn, k="arn:aws:iam::1:role/x", other="x")
    assert not allows(arn, k="arn:aws:iam::1:role/x", other="*")


@pytest.mark.parametrize(
    ("document", "word"),
    [
        (policy(Condition={"DateLessThan": {"k": "2030-01-01"}}), "DateLessThan"),
        (policy(Condition={"ForSomeValue:StringEquals": {"k": "a"}}), "ForSomeValue"),
        (policy(Condition={"NullIfExists": {"k": "true"}}), "NullIfExists"),
        (policy(Effect="Maybe"), "Maybe"),
        (policy(NotAction="s3:*"), "NotAction"),
        (policy(Resource=None), "Resource"),
        (policy(Principal="*"), "Principal"),
        ({"Version": "2008-10-17", "Statement": []}, "2012-10-17"),
        ({"Statement": []}, "2012-10-17"),
        ({"Version": "2012-10-17", "Statement": [], "More": 1}, "More"),
    ],
)
def test_what_is_not_known_is_refused_when_it_is_read(document: Any, word: str) -> None:
    with pytest.raises(Unreadable, match=word):
        read(document, "P")


@pytest.mark.parametrize(
    ("condition", "context", "word"),
    [
        ({"StringEquals": {"aws:SourceVpc": "v"}}, {}, "aws:SourceVpc"),
        ({"Null": {"k": "maybe"}}, {}, "maybe"),
        ({"StringEquals": {"k": "a"}}, {"k": ("a",)}, "ForAnyValue"),
        ({"NumericEquals": {"k": "${other}"}}, {"k": "1"}, "variable"),
        ({"StringEquals": {"k": "${never:heard}"}}, {"k": "1"}, "never:heard"),
    ],
)
def test_what_is_not_known_is_refused_when_it_decides(condition: Any, context: Any, word: str) -> None:
    with pytest.raises(Unreadable, match=word):
        allows(policy(Condition=condition), **context)


def test_what_does_not_concern_the_action_is_not_asked() -> None:
    assert not allows(policy(Action="s3:PutObject", Condition={"StringEquals": {"aws:SourceVpc": "v"}}))


def test_an_action_is_covered_without_regard_to_case() -> None:
    assert covers("iam:*Role", "IAM:createrole")
    assert not covers("iam:Create", "iam:CreateRole")


def of_key(principal: Any, **statement: Any) -> bool:
    """Ask a resource's policy for a caller who is a role of the account 123456789012."""
    root, role = "AWS:arn:aws:iam::123456789012:root", "AWS:arn:aws:iam::123456789012:role/x"
    request = Request("kms:Decrypt", "key", {}, REVIEWED, frozenset({"*", root, role}))
    document = policy(Action="kms:Decrypt", Principal=principal, **statement)
    return decide(read(document, "K", of_resource=True), request).allowed


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ("*", True),
        ({"AWS": "arn:aws:iam::123456789012:root"}, True),
        ({"AWS": ["arn:aws:iam::999999999999:root", "arn:aws:iam::123456789012:role/x"]}, True),
        ({"AWS": "arn:aws:iam::123456789012:role/y"}, False),
        ({"Service": "logs.amazonaws.com"}, False),
    ],
)
def test_the_policy_of_a_resource_names_who_is_meant(principal: Any, expected: bool) -> None:
    assert of_key(principal) is expected
    with pytest.raises(Unreadable, match="Principal"):
        read(policy(Principal=principal), "P")


def test_a_policy_of_a_resource_without_a_principal_is_refused() -> None:
    with pytest.raises(Unreadable, match="principal"):
        read(policy(), "K", of_resource=True)
