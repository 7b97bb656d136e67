"""Look at every region before anything is written, and say what is to be done there. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from generators.kit import publishing
from tools.publish.aws import NETWORK, Aws, explain
from tools.publish.buckets import Change, changes
from tools.publish.errors import Finding, PreflightFailed, PublishError
from tools.publish.manifest import LATEST, MANIFEST, Asset, Release, differences, version_of
from tools.publish.readers import Readers
from tools.publish.store import RegionProblem, Store, Tags

# Waiting for the network is all that a region's thread does.
THREADS = 16
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Latest:
    """What to do about `latest/`: assets to send, whether the manifest moves, or the newer version that stays."""

    send: tuple[Asset, ...] = ()
    moves: bool = False
    stays_at: str | None = None


@dataclass(frozen=True)
class RegionPlan:
    """What is to be done in one region. `replaces`: another content of this version stands there and may go."""

    store: Store
    changes: tuple[Change, ...]
    send: tuple[Asset, ...]
    unchanged: int
    has_manifest: bool
    replaces: bool
    strangers: tuple[str, ...]
    latest: Latest

    @property
    def nothing_to_do(self) -> bool:
        """Tell whether the region already is as it should be."""
        return not (self.changes or self.send or self.latest.send or self.latest.moves) and self.has_manifest


def examine(
    aws: Aws, prefix: str, regions: Sequence[str], readers: Readers, release: Release, replace: bool
) -> list[RegionPlan]:
    """Look at all regions at once; raises with every problem found. With `replace` other content is no problem."""
    caller = aws.caller
    off = aws.not_enabled(regions)
    findings = {region: _off(region, caller.account) for region in regions if region in off}
    elsewhere = [region for region in regions if publishing.partition(region) != caller.partition]
    findings |= dict.fromkeys(elsewhere, _foreign(caller.partition))
    stores = [_store(aws, prefix, region) for region in regions if region not in findings]
    plans: list[RegionPlan] = []
    for store, result in each(stores, lambda store: _region(store, readers, release, replace)):
        if isinstance(result, RegionPlan):
            plans.append(result)
        else:
            findings[store.region] = _finding(result)
    if findings:
        raise PreflightFailed(findings)
    return sorted(plans, key=lambda plan: plan.store.region)


def each(items: Sequence[Item], work: Callable[[Item], Result]) -> Iterable[tuple[Item, Result | Exception]]:
    """Do the work in threads, and give each item's result, or what AWS or the network answered, as they end."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = {pool.submit(work, item): item for item in items}
        try:
            for future in as_completed(waiting):
                try:
                    yield waiting[future], future.result()
                except (BotoCoreError, ClientError, PublishError) as error:
                    yield waiting[future], error
        finally:
            pool.shutdown(cancel_futures=True)


def missing(assets: Iterable[Asset], there: Tags) -> tuple[Asset, ...]:
    """Give the assets that are not there, or there with other bytes."""
    return tuple(asset for asset in assets if there.get(asset.key) != asset.tag)


def _store(aws: Aws, prefix: str, region: str) -> Store:
    caller = aws.caller
    bucket = publishing.bucket_name(prefix, region)
    return Store(region, bucket, caller.account, caller.partition, aws.client("s3", region))


def _region(store: Store, readers: Readers, release: Release, replace: bool) -> RegionPlan:
    exists = store.exists()
    there = store.tags(release.prefix) if exists else {}
    standing = store.get(release.prefix + MANIFEST) if exists and MANIFEST in there else None
    differs = standing is not None and standing != release.manifest.body
    if standing is not None and differs and not replace:
        raise RegionProblem(_released(release, standing))
    send = missing(release.assets, there)
    return RegionPlan(
        store=store,
        changes=tuple(changes(store, exists, readers)),
        send=send,
        unchanged=len(release.assets) - len(send),
        has_manifest=standing is not None and not differs,
        replaces=differs,
        strangers=tuple(sorted(there.keys() - {asset.key for asset in release.assets} - {MANIFEST})),
        latest=_latest(store, release) if exists else _all_latest(release),
    )


def _latest(store: Store, release: Release) -> Latest:
    if not release.stable:
        return Latest()
    there = store.tags(LATEST)
    standing = store.get(LATEST + MANIFEST) if MANIFEST in there else None
    newest = version_of(standing)
    if newest and publishing.is_stable(newest) and _number(newest) > _number(release.version):
        return Latest(stays_at=newest)
    return Latest(missing(release.latest, there), moves=standing != release.manifest.body)


def _all_latest(release: Release) -> Latest:
    return Latest(release.latest, moves=True) if release.stable else Latest()


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _finding(error: Exception) -> Finding:
    if isinstance(error, RegionProblem):
        return error.finding
    if isinstance(error, NETWORK):
        return Finding(explain(error), "Check the network, then run the same command again.")
    return Finding(
        explain(error), "The credentials need to read, write and set up these buckets; then run the same command again."
    )


def _released(release: Release, standing: bytes) -> Finding:
    keys = differences(standing, release.manifest.body)
    named = ", ".join(keys[:4]) + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")
    return Finding(
        f"version {release.version} is already released there with other content ({named})",
        "A released version never changes: raise `version` in pyproject.toml, run ./inv build, then publish again.",
    )


def _off(region: str, account: str) -> Finding:
    return Finding(
        f"the region is not enabled in account {account}",
        "Enable it (aws account enable-region --region-name REGION), or name the others with --regions.",
    )


def _foreign(partition: str) -> Finding:
    return Finding(
        f"the region is not in {partition}, the partition of these credentials",
        "Publish to each partition with credentials of its own: --regions.",
    )
