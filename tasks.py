"""What `./inv` can do. Each task is thin: the work is in generators/, tools/ and rehearsal/."""

from __future__ import annotations

from typing import Any

from invoke.tasks import task


@task(help={"check": "only say which committed files are stale; exit code 1 when any is"})
def build(_: Any, check: bool = False) -> None:
    """Render templates, .taskcat.yml, reference pages and README's tables."""
    from tools.build import build as run

    run(check=check)


@task(
    help={
        "bucket_prefix": "publish to the buckets PREFIX-REGION; without it, to an S3 embedded on this machine",
        "regions": "only these regions, separated by commas; default: every launch region",
        "org_id": "let the accounts of this organization (o-...) read the release",
        "accounts": "let these accounts read the release, separated by commas",
        "public": "let everybody read the release",
        "dry_run": "say what would be done, and write nothing",
        "endpoint_url": "an S3 endpoint other than AWS's own",
    }
)
def publish(
    _: Any,
    bucket_prefix: str = "",
    regions: str = "",
    org_id: str = "",
    accounts: str = "",
    public: bool = False,
    dry_run: bool = False,
    endpoint_url: str = "",
) -> None:
    """Publish templates, functions and seeds; the manifest goes last."""
    from tools.publish.command import publish as run

    run(bucket_prefix, regions, org_id, accounts, public, dry_run, endpoint_url)


@task(help={"port": "port on 127.0.0.1; default: 4566"})
def serve(_: Any, port: int = 4566) -> None:
    """Serve what was published without a bucket on a local endpoint, until Ctrl-C."""
    from tools.publish.serve import serve as run

    run(port)


@task(help={"bucket_prefix": "prefix of the published buckets; default: the configured one", "json": "as JSON"})
def links(_: Any, bucket_prefix: str = "", json: bool = False) -> None:
    """Show the launch link of every template and region."""
    from tools.links import show

    show(bucket_prefix, as_json=json)


@task
def lint(_: Any) -> None:
    """Hold every template in every launch region against cfn-lint and the house's own rules."""
    from tools.lint.command import lint as run

    run()


@task(help={"check": "only say which regions are offered and why, and whether the facts are current"})
def facts(_: Any, check: bool = False) -> None:
    """Render what differs from region to region, from the registry schemas and the reviewed sources."""
    from tools.facts import run

    run(check=check)


@task
def release(_: Any) -> None:
    """Write what this version promises to releases/, and hold it against the version before."""
    from tools.releases import run

    run()


@task
def taskcat(_: Any) -> None:
    """Lint with taskcat, in an environment of its own."""
    from tools.taskcat import lint as run

    run()


@task(help={"regions": "regions of the emulator, separated by commas"})
def engine(_: Any, regions: str = "us-east-1,eu-south-1") -> None:
    """Create, update and delete the base stack in the emulator, from what was published."""
    from tools.engine import run

    run(regions)


@task(
    help={
        "framework": "run the seed code of this framework, in a copy; without it, the checkout that you stand in",
        "problem": "binary_classification, multiclass_classification or regression; default: the project's own",
        "inference": "realtime or batch; default: the project's own",
        "project": "checkout of a project; default: the folder that you stand in",
        "data": "folder with the data, when model_config.yaml names data",
        "definition": "run this pipeline definition (JSON), whoever wrote it",
        "parameter": "NAME=VALUE of the definition; several separated by commas",
        "mode": "auto, namespaces or mapped: how jobs are kept apart",
        "migrate": "run nothing: rewrite model_config.yaml to its newest version, comments kept",
    }
)
def local(
    _: Any,
    framework: str = "",
    problem: str = "",
    inference: str = "",
    project: str = "",
    data: str = "",
    definition: str = "",
    parameter: str = "",
    mode: str = "",
    migrate: bool = False,
) -> None:
    """Run a project's pipeline on this machine, from preprocessing to the registered model, without AWS."""
    from tools.local import run

    more = {"problem": problem, "inference": inference, "data": data, "definition": definition, "parameter": parameter}
    run(framework, project, migrate, **more, mode=mode)


@task(help={"only": "one proof by its name; default: all", "json": "as JSON"})
def prove(_: Any, only: str = "", json: bool = False) -> None:
    """Prove what AWS's own data can prove before anything is launched; 0 proved, 1 disproved, 3 not run."""
    from tools.prove import run

    run(only, as_json=json)


@task(help={"json": "as JSON"})
def quotas(_: Any, json: bool = False) -> None:
    """Show what a project and a user take of each quota, and how many fit; with credentials, by the account's own values."""
    from tools.quotas import show

    show(as_json=json)


@task
def bench(_: Any) -> None:
    """Measure speed and size against the targets they have to keep."""
    from tools.bench import run

    run()


@task
def lock(_: Any) -> None:
    """Pin every environment anew in requirements/; needs uv."""
    from tools.environments import lock as run

    run()


@task
def check(_: Any) -> None:
    """Run the part of the tests that takes under a minute: style, types, unit and contract tests, stale files."""
    from tools.suite import check as run

    run()


@task
def test(_: Any) -> None:
    """Run all of CI: check, functions, publish, lint in every region, facts, promises, proofs, the stack in the emulator."""
    from tools.suite import test as run

    run()
