"""Publish in an order that never shows half a release: look, set up buckets, send, and only then the manifests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.publish.aws import Aws, explain
from tools.publish.errors import Interrupted, Overtaken
from tools.publish.manifest import LATEST, MANIFEST, Release
from tools.publish.plan import RegionPlan, Result, each, examine, missing
from tools.publish.readers import Readers

Say = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """What to publish where, and for whom. `replace` lets other content of the same version go: embedded S3 only."""

    release: Release
    prefix: str
    regions: tuple[str, ...]
    readers: Readers = Readers()
    replace: bool = False


@dataclass(frozen=True)
class Outcome:
    """What was done: the plans, the objects sent in all regions (release, manifests, latest) and those left alone."""

    plans: tuple[RegionPlan, ...]
    sent: int
    unchanged: int


def publish(aws: Aws, order: Order, say: Say) -> Outcome:
    """Publish a release; raises before anything is written, or says which regions are complete."""
    plans = look(aws, order)
    release = order.release
    if any(plan.changes for plan in plans):
        _phase("setting up the buckets", plans, lambda plan: _set_up(plan), say)
    _phase("sending objects", plans, lambda plan: _send(plan, order), say)
    new = [plan for plan in plans if not plan.has_manifest]
    _phase("writing the manifests", new, lambda plan: _release(plan, release), say, before=_settled(plans, new))
    moving = [plan for plan in plans if plan.latest.send or plan.latest.moves]
    _phase("moving latest/", moving, lambda plan: _move_latest(plan, release), say, before=_settled(plans, moving))
    sent = sum(len(plan.send) + len(plan.latest.send) + plan.latest.moves for plan in plans) + len(new)
    whole = len(release.assets) + 1
    kept = sum(plan.unchanged + plan.has_manifest for plan in plans)
    assert len(plans) * whole == kept + sum(len(plan.send) for plan in plans) + len(new)
    return Outcome(tuple(plans), sent, kept)


def look(aws: Aws, order: Order) -> list[RegionPlan]:
    """Look at every region and plan; nothing is written."""
    return examine(aws, order.prefix, order.regions, order.readers, order.release, order.replace)


def describe(plan: RegionPlan, release: Release) -> list[str]:
    """Say what a plan would do, for --dry-run."""
    if plan.nothing_to_do:
        return ["nothing to do"]
    size = sum(len(asset.body) for asset in plan.send)
    lines = [f"set up: {change.what}" for change in plan.changes]
    lines += [f"send {len(plan.send)} of {len(release.assets)} objects ({size:,} bytes)"] if plan.send else []
    lines += [f"replace the other content of {release.prefix}"] if plan.replaces else []
    lines += [] if plan.has_manifest else [f"write {release.prefix}{MANIFEST}"]
    lines += [f"move {LATEST} to {release.version}"] if plan.latest.moves else []
    return lines


def _set_up(plan: RegionPlan) -> str:
    for change in plan.changes:
        change.apply(plan.store)
    made = plan.changes and plan.changes[0].operation == "create_bucket"
    return f"bucket {plan.store.bucket} made" if made else f"{len(plan.changes)} settings changed" if plan.changes else ""


def _send(plan: RegionPlan, order: Order) -> str:
    store, release = plan.store, order.release
    if plan.replaces:
        # First of all: what is half replaced must not look like a release.
        store.delete(release.prefix + MANIFEST)
    for asset in plan.send:
        store.put(release.prefix, asset)
    if order.replace:
        for key in plan.strangers:
            store.delete(release.prefix + key)
    # The manifest promises every object, so it is seen, and not assumed, that all of them are there.
    if plan.send and missing(release.assets, store.tags(release.prefix)):
        raise Overtaken(f"objects under {store.bucket}/{release.prefix} changed while they were sent")
    return f"{len(release.assets)} objects, {len(plan.send)} sent, {plan.unchanged} unchanged"


def _release(plan: RegionPlan, release: Release) -> str:
    plan.store.put_first(release.prefix, release.manifest)
    return ""


def _move_latest(plan: RegionPlan, release: Release) -> str:
    for asset in plan.latest.send:
        plan.store.put(LATEST, asset)
    if plan.latest.moves:
        plan.store.put(LATEST, release.manifest)
    return ""


def _settled(plans: Sequence[RegionPlan], now: Sequence[RegionPlan]) -> set[str]:
    return {plan.store.region for plan in plans} - {plan.store.region for plan in now}


def _phase(
    step: str, plans: Sequence[RegionPlan], work: Callable[[RegionPlan], str], say: Say, before: set[str] | None = None
) -> None:
    """Do one step in all regions; `before` names the regions that had released earlier, once manifests are at stake."""
    done, failed = set(before or ()), {}
    for plan, result in each(plans, work):
        if isinstance(result, Exception):
            failed[plan.store.region] = explain(result)
            continue
        done.add(plan.store.region)
        if result:
            say(f"{plan.store.region:<15} {result}")
    if failed:
        raise Interrupted(step, done, failed, released=before is not None)


__all__ = ["Order", "Outcome", "Result", "describe", "look", "publish"]
