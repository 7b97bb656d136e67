"""Two helpers for whatever reaches into ministack."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

CLOUDFORMATION = "services.cloudformation"


def module(name: str) -> Any:
    """Import a module of ministack, which says nothing about its types."""
    return import_module(f"ministack.{name}")


def patch(name: str, replacement: Callable[..., Any], *modules: Any) -> None:
    """Put a function in place of another in every module that imported it by name."""
    for module in modules:
        getattr(module, name)  # a name that is gone must fail here
        setattr(module, name, replacement)
