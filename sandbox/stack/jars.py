"""Kafka's jars: each named with its hash in `kafka.lock`, fetched once from Maven coordinates.

The order of the file is the order of the class path: the JVM's class cache holds only for one exact list.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

log = logging.getLogger(__name__)

_PARALLEL_DOWNLOADS = 8


class JarsMissing(Exception):
    """A jar could not be fetched, or is not the one that the lock names."""


@dataclass(frozen=True, slots=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    def path(self, repository: Path) -> Path:
        folder = repository.joinpath(*self.group.split("."), self.artifact, self.version)
        return folder / f"{self.artifact}-{self.version}.jar"


def locked() -> list[Jar]:
    text = resources.files("sandbox.stack").joinpath("kafka.lock").read_text()
    return [_parse(line) for line in text.splitlines() if line and not line.startswith("#")]


def _parse(line: str) -> Jar:
    coordinate, sha256 = line.split()
    group, artifact, version = coordinate.split(":")
    return Jar(group, artifact, version, sha256)


def classpath(cache: Path) -> str:
    """The class path of the broker; fetches what the cache lacks. Blocks. Raises JarsMissing."""
    repository = cache / "maven"
    jars = locked()
    with _alone(cache):
        missing = [jar for jar in jars if not jar.path(repository).exists()]
        if missing:
            _fetch(missing, repository)
    return ":".join(str(jar.path(repository)) for jar in jars)


def digest(class_path: str) -> str:
    """Names what is made from exactly these jars."""
    return hashlib.sha256(class_path.encode()).hexdigest()[:12]


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """One process fetches, the others wait for it."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "maven.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(jars: list[Jar], repository: Path) -> None:
    log.info("Fetching %d jars of Apache Kafka, once", len(jars), extra={"action": "jars_fetch"})
    with ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
        for _ in pool.map(lambda jar: _fetch_one(jar, repository), jars):
            pass


def _fetch_one(jar: Jar, repository: Path) -> None:
    # Imported here: a start whose jars are cached does without jgo and requests (0.2 s).
    import requests
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=repository, remote_repos={"central": MAVEN_CENTRAL_URL})
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    try:
        path = component.artifact(packaging="jar").resolve()
    except (OSError, RuntimeError, requests.RequestException) as error:
        raise JarsMissing(f"{jar} could not be fetched: {error}") from error
    if hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
        path.unlink()
        raise JarsMissing(f"{jar} is not the file that kafka.lock names")
