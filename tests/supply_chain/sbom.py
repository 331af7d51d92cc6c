"""`make sbom`: writes which packages a deployment has into dist/, as a CycloneDX document.

The names, versions and hashes are those of requirements/production.txt, the licences those of the installed
packages. An edge means that one package can ask for the other, on some platform or with some extra.
"""

from __future__ import annotations

import re
import sys
import tomllib
import uuid
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.utils import NormalizedName, canonicalize_name

from tests.supply_chain.locks import ROOT, Locked, python_lock


def build() -> str:
    """The document. Raises ValueError if it does not match CycloneDX's schema."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = {canonicalize_name(one.name): one for one in python_lock("production")}
    components = {name: _component(one) for name, one in lock.items()}
    broker = Component(
        name=project["name"],
        version=project["version"],
        type=ComponentType.APPLICATION,
        bom_ref=project["name"],
        licenses=[LicenseExpression("Apache-2.0")],
    )
    bom = Bom(components=components.values(), serial_number=_serial_number())
    bom.metadata.component = broker
    bom.register_dependency(broker, [components[_name(text)] for text in project["dependencies"]])
    for name, one in lock.items():
        asked = {_name(text) for text in _requires(one)} - {name}
        bom.register_dependency(components[name], [components[other] for other in asked & lock.keys()])
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(str(fault)[:2000])
    return text


def _component(locked: Locked) -> Component:
    licence = locked.licence
    return Component(
        name=locked.name,
        version=locked.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{locked.name}=={locked.version}",
        purl=PackageURL("pypi", None, canonicalize_name(locked.name), locked.version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha) for sha in locked.hashes],
        licenses=[LicenseExpression(licence) if licence != "unknown" else DisjunctiveLicense(name=licence)],
    )


def _requires(locked: Locked) -> list[str]:
    try:
        return locked.installed.requires or []
    except PackageNotFoundError:  # for another platform
        return []


def _name(requirement: str) -> NormalizedName:
    return canonicalize_name(re.split(r"[^A-Za-z0-9._-]", requirement)[0])


def _serial_number() -> uuid.UUID:
    """The same lock gives the same number."""
    return uuid.uuid5(uuid.NAMESPACE_OID, (ROOT / "requirements" / "production.txt").read_text())


def main() -> int:
    path = Path(ROOT / "dist" / "live-broker.cdx.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(build())
    print(f"{path.relative_to(ROOT)}: {len(python_lock('production'))} packages, valid CycloneDX 1.6")
    return 0


if __name__ == "__main__":
    sys.exit(main())
