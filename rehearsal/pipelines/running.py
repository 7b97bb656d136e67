"""Take an execution through its pipeline's stages."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from itertools import groupby

from rehearsal.acting import now
from rehearsal.ministack_internals import access
from rehearsal.pipelines.actions import Abandoned, ActionFailed, Actions
from rehearsal.pipelines.state import ActionRun, Execution, Line
from rehearsal.services import Json

STATE_CHANGE = "CodePipeline Pipeline Execution State Change"


class Journey:
    """One execution on its way."""

    def __init__(self, execution: Execution, line: Line, actions: Actions, keep: Callable[[ActionRun], None]) -> None:
        self._execution, self._line, self._actions, self._keep = execution, line, actions, keep

    def go(self) -> None:
        """Run stage after stage until the last one, a failure or a stop."""
        execution, line = self._execution, self._line
        self._tell("STARTED")
        for stage in execution.pipeline["stages"]:
            name = stage["name"]
            if not line.enter(execution, name):
                break
            execution.stages[name] = "InProgress"
            try:
                execution.stages[name] = self._stage(stage)
            except Exception as error:  # the rehearsal's own fault must end the execution too
                execution.stages[name] = "Failed"
                execution.end("Failed", f"{type(error).__name__}: {error}")
                raise
            finally:
                line.leave(execution, name)
            if execution.stages[name] == "Failed":
                execution.end("Failed")
            if execution.stages[name] != "Succeeded":
                break
        else:
            execution.end("Succeeded")
        if not execution.has_ended:
            execution.end("Stopped", execution.stopped_for)
        self._tell(execution.status.upper())

    def _stage(self, stage: Json) -> str:
        execution = self._execution
        order = lambda action: int(action.get("runOrder", 1))  # noqa: E731
        for _, group in groupby(sorted(stage["actions"], key=order), key=order):
            if execution.stop.is_set():
                return "Stopped"
            runs = [ActionRun(str(uuid.uuid4()), execution, stage["name"], action) for action in group]
            threads = [threading.Thread(target=self._action, args=(run,), daemon=True) for run in runs]
            for run, thread in zip(runs, threads, strict=True):
                self._keep(run)
                thread.start()
            for thread in threads:
                thread.join()
            if any(run.status == "Failed" for run in runs):
                return "Failed"
            if any(run.status == "Abandoned" for run in runs):
                return "Stopped"
        return "Stopped" if execution.stop.is_set() else "Succeeded"

    def _action(self, run: ActionRun) -> None:
        execution = self._execution
        access.stand_in(execution.place.account, execution.place.region)
        try:
            self._actions.run(run)
            if "namespace" in run.action:
                execution.namespaces[run.action["namespace"]] = run.variables
            run.end("Succeeded")
        except Abandoned:
            run.end("Abandoned")
        except ActionFailed as error:
            run.end("Failed", error.code, str(error))
        except Exception as error:
            run.end("Failed", "JobFailed", f"{type(error).__name__}: {error}")
        execution.changed = now()

    def _tell(self, state: str) -> None:
        """https://docs.aws.amazon.com/codepipeline/latest/userguide/detect-state-changes-cloudwatch-events.html"""
        execution = self._execution
        name = execution.pipeline["name"]
        detail = {
            "pipeline": name,
            "execution-id": execution.id,
            "state": state,
            "version": execution.pipeline["version"],
        }
        arn = execution.place.arn("codepipeline", name)
        execution.place.tell("aws.codepipeline", STATE_CHANGE, [arn], detail)
