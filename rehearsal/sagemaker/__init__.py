"""SageMaker: Studio and its projects, and the jobs, pipelines and versions of the registry that really come about."""

from __future__ import annotations

from collections.abc import Callable

from rehearsal.catalogue import Catalogue
from rehearsal.ledger import Request
from rehearsal.sagemaker.jobs import Jobs
from rehearsal.sagemaker.pipelines import ModelPipelines
from rehearsal.sagemaker.projects import Projects
from rehearsal.sagemaker.registry import GROUP, Models
from rehearsal.sagemaker.service import SageMaker
from rehearsal.sagemaker.studio import Studio

__all__ = ["GROUP", "SageMaker", "Studio", "checks_of", "parts_of"]


def parts_of(service: SageMaker, catalogue: Catalogue) -> Studio:
    """Give the service all its parts; give back the one that opens links."""
    studio, jobs, models = Studio(service), Jobs(service), Models(service)
    service.parts = [studio, Projects(service, catalogue), jobs, models, ModelPipelines(service, jobs, models)]
    return studio


def checks_of(service: SageMaker) -> dict[tuple[str, str], Callable[[Request], None]]:
    """Give what the service has against changes that stacks make."""
    parts = [part for part in service.parts if isinstance(part, Studio | Models)]
    return {where: check for part in parts for where, check in part.checks().items()}
