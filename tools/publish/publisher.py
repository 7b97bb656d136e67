"""Publish in an order that never shows half a release: look, set up buckets, send, and only then the manifests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.publish.aws import Aws, explain
from tools.publish.errors import Interrupted, Overtaken
from tools.publish.manifest import LATEST, MANIFEST, Release
from tools.publish.plan import RegionPlan, each, examine, missing
from tools.publish.readers import Readers

Say = Callable[[str], None]
Plans = Sequence[RegionPlan]


@dataclass(frozen=True)
class Phase:
    """A step over all regions, and what the buckets show to others when it fails half-way."""

    step: str
    shown: str


NO_MANIFEST = "No manifest was written: they come when every region has every object."
SET_UP = Phase("setting up the buckets", NO_MANIFEST)
SEND = Phase("sending objects", NO_MANIFEST)
RELEASE = Phase("writing the manifests", "The complete regions show the release, the others do not yet.")
MOVE = Phase(f"moving {LATEST}", f"Every region holds the release; {LATEST} has moved in the complete ones.")


@dataclass(frozen=True)
class Order:
    """What to publish where, and for whom. `replace` lets other content of the same version go: embedded S3 only."""

    release: Release
    prefix: str
    regions: tuple[str, ...]
    readers: Readers
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
    _phase(SET_UP, [plan for plan in plans if plan.changes], plans, _set_up, say)
    _phase(SEND, plans, plans, lambda plan: _send(plan, order), say)
    new = [plan for plan in plans if not plan.has_manifest]
    _phase(RELEASE, new, plans, lambda plan: plan.store.put_first(release.prefix, release.manifest), say)
    moving = [plan for plan in plans if plan.latest.send or plan.latest.moves]
    _phase(MOVE, moving, plans, lambda plan: _move_latest(plan, release), say)
    sent = sum(len(plan.send) + len(plan.latest.send) + plan.latest.moves for plan in plans) + len(new)
    return Outcome(tuple(plans), sent, sum(plan.unchanged + plan.has_manifest for plan in plans))


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
    # A new bucket, and a lifted block of public policies, take a moment to be seen everywhere in S3.
    settling = False
    for change in plan.changes:
        change.apply(plan.store, patient=settling)
        settling = settling or change.operation in {"create_bucket", "put_public_access_block"}
    if plan.changes[0].operation == "create_bucket":
        return f"bucket {plan.store.bucket} made"
    return f"bucket {plan.store.bucket} set up: {', '.join(change.what for change in plan.changes)}"


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


def _move_latest(plan: RegionPlan, release: Release) -> None:
    for asset in plan.latest.send:
        plan.store.put(LATEST, asset)
    if plan.latest.moves:
        plan.store.put(LATEST, release.manifest)


def _phase(phase: Phase, now: Plans, plans: Plans, work: Callable[[RegionPlan], str | None], say: Say) -> None:
    """Do one step in the regions that need it; raises when one of them failed, once all have ended."""
    done, failed = {plan.store.region for plan in plans} - {plan.store.region for plan in now}, {}
    for plan, result in each(now, work):
        if isinstance(result, Exception):
            failed[plan.store.region] = explain(result)
            continue
        done.add(plan.store.region)
        if result:
            say(f"{plan.store.region:<15} {result}")
    if failed:
        raise Interrupted(phase.step, done, failed, phase.shown)
