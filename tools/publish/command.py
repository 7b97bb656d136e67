"""`./inv publish`: what the task calls."""

from __future__ import annotations

from collections.abc import Sized

from tools.links import checked_prefix
from tools.publish import embedded, seeds
from tools.publish.aws import EMBEDDED_PARTITION, Aws, chosen_regions, connect, connect_embedded
from tools.publish.errors import EndpointWithoutPrefix
from tools.publish.manifest import LATEST, MANIFEST, Release, release
from tools.publish.publisher import Order, Outcome, describe, look
from tools.publish.publisher import publish as carry_out
from tools.publish.readers import readers


def publish(
    bucket_prefix: str, regions: str, org_id: str, accounts: str, public: bool, dry_run: bool, endpoint_url: str
) -> None:
    """Publish this version to `{bucket_prefix}-{region}`, without a prefix to the embedded S3; print what is done.

    The configured prefix is not taken: what leaves this machine is named on the command line."""
    wanted = readers(org_id, accounts, public)
    prefix = bucket_prefix
    if prefix:
        checked_prefix(prefix)
        aws = connect(endpoint_url or None)
        names = chosen_regions(regions, aws.caller.partition)
        _run(aws, Order(_release(), prefix, names, wanted), dry_run)
        if not dry_run:
            print(f"Launch links: ./inv links --bucket-prefix {prefix}")
        return
    if endpoint_url:
        raise EndpointWithoutPrefix
    names = chosen_regions(regions, EMBEDDED_PARTITION)
    order = Order(_release(), embedded.PREFIX, names, wanted, replace=True)
    with embedded.running_or_served() as server:
        aws = connect_embedded(server.endpoint)
        outcome = _run(aws, order, dry_run)
        if outcome:
            count = embedded.read_back(aws, outcome.plans, order.release)
            print("\n".join(_embedded_summary(outcome, order.release, server, count)))


def _release() -> Release:
    found = release()
    for name in seeds.untracked():
        print(f"note: git does not track {name}, so no seed holds it")
    return found


def _run(aws: Aws, order: Order, dry_run: bool) -> Outcome | None:
    found = order.release
    print(
        f"Version {found.version}: {len(found.assets)} objects, {found.size:,} bytes, "
        f"to {order.prefix}-REGION in {_regions(order.regions)} of account {aws.caller.account}",
        flush=True,
    )
    if dry_run:
        for plan in look(aws, order):
            for number, line in enumerate(describe(plan, found)):
                print(f"{'' if number else plan.store.region:<15} {line}")
        print("Dry run: nothing was written.")
        return None
    outcome = carry_out(aws, order, lambda line: print(line, flush=True))
    counts = f"{outcome.sent} objects sent, {outcome.unchanged} unchanged"
    print(f"Published {found.prefix}{MANIFEST} in {_regions(outcome.plans)}: {counts}.")
    print(_latest_line(outcome, found))
    return outcome


def _regions(several: Sized) -> str:
    return "one region" if len(several) == 1 else f"{len(several)} regions"


def _latest_line(outcome: Outcome, found: Release) -> str:
    newer = sorted({plan.latest.stays_at for plan in outcome.plans if plan.latest.stays_at})
    if newer:
        return f"{LATEST} stays at {', '.join(newer)}, which is newer."
    if not found.stable:
        return f"{LATEST} stays where it is: {found.version} is no stable version."
    return f"{LATEST} is {found.version}."


def _embedded_summary(outcome: Outcome, found: Release, server: embedded.Server, count: int) -> list[str]:
    replaced = any(plan.replaces for plan in outcome.plans)
    note = f"{found.prefix} held other content there and was replaced; in real buckets that is refused."
    return [
        *([note] if replaced else []),
        f"Read back over HTTP: {count} objects in {_regions(outcome.plans)}, every checksum as in the manifest.",
        f"The embedded S3 keeps it in {embedded.FOLDER}; nothing was sent to AWS.",
        "",
        f"Served at {server.endpoint}." if server.served else "Serve it on a local endpoint:       ./inv serve",
        "Publish to buckets of your own:     ./inv publish --bucket-prefix PREFIX",
        "Then get the launch links:          ./inv links --bucket-prefix PREFIX",
    ]
