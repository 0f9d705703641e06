"""`https://HOST[:PORT][/v2/models/NAME]`: as `http:`, through TLS.

Certificates are checked as the system does, or against those in the file SSL_CERT_FILE.
"""

from __future__ import annotations

from collections.abc import Mapping

from kickstarting.teachers.origins import http
from kickstarting.teachers.program import ProgramTeacher

OPTIONS: Mapping[str, str] = http.OPTIONS


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> ProgramTeacher:
    return http.load(name, ref, device, options, scheme="https")


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    return http.digest(name, options, scheme="https")


def recognises(path: object) -> bool:
    return False
