"""What can go wrong in a proof, each with the change that mends it."""

from __future__ import annotations

from tools.errors import MlopsError


class ProofError(MlopsError):
    """Base of every error of this package."""


class MissingData(ProofError):
    """What a proof is made from is not on this machine: the proof is not run."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is missing. Make the environment anew: remove .venvs/lint, then run `./inv prove`.")


class NothingToProve(ProofError):
    """The templates hold nothing that a proof is about: the proof is not run, since a proof of nothing says nothing."""


class Unresolved(ProofError):
    """A value of a template can't be worked out from what is known."""

    def __init__(self, where: str, what: str, mend: str) -> None:
        super().__init__(f"{where}: {what}. {mend}")


class NoSuchProof(ProofError):
    """Somebody asks for a proof that there isn't."""

    def __init__(self, name: str, names: list[str]) -> None:
        super().__init__(f"There is no proof '{name}'. Name one of: {', '.join(names)}.")


class Unreadable(ProofError):
    """A policy says something that the evaluator does not know: it is never passed over."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where} {what}. Teach it to proofs/evaluator.py or proofs/context.py, with its source.")
