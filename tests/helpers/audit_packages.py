"""Audit the packages of the lock by pip-audit (for `make audit`); exit with 1 on known faults or unchecked packages.

`audit_packages.py --reachable` exits with 0 if the service that knows of faults responds. With AUDIT_OFFLINE=1 no
package is checked, and that is printed.
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

LOCK = "requirements.lock"
KNOWN = "https://pypi.org/pypi/pip/23.0/json"
"""What the service says of a package with a known fault."""


def reachable(address: str = KNOWN) -> bool:
    """Check whether the service knows of a fault that has one."""
    try:
        with urllib.request.urlopen(address, timeout=15) as response:
            return bool(json.load(response)["vulnerabilities"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def audit(command: str) -> str:
    """Return why the audit failed, or an empty text; print the known faults."""
    options = ["--progress-spinner", "off", "--format", "json", "--disable-pip", "--require-hashes", "-r", LOCK]
    done = subprocess.run([command, *options], capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["nothing was printed"])[-1]
        return f"no package was checked; pip-audit ended with {done.returncode}: {last[:200]}"
    faults = [(each, fault) for each in packages for fault in each.get("vulns", ())]
    for each, fault in faults:
        fixed = ", ".join(fault.get("fix_versions", ())) or "no version yet"
        print(f"{each['name']} {each['version']}: {fault['id']}, fixed in {fixed}")
    unchecked = [each["name"] for each in packages if "vulns" not in each]
    print(f"audit: {len(packages) - len(unchecked)} packages checked, {len(faults)} known faults.")
    if unchecked or not packages:
        return f"{len(unchecked)} of {len(packages)} packages are not checked: {', '.join(unchecked[:10])}"
    return "known faults" if faults else "" if done.returncode == 0 else f"pip-audit ended with {done.returncode}"


def main() -> str:
    """Return the text to exit with; empty for success."""
    if sys.argv[1:] == ["--reachable"]:
        return "" if reachable() else "audit: the service that knows of faults cannot be reached."
    if os.environ.get("AUDIT_OFFLINE") == "1":
        print(f"audit: not audited: the packages of {LOCK} were not checked, because AUDIT_OFFLINE=1.")
        return ""
    failed = audit(str(Path(sys.argv[1])))
    return f"audit: {failed}. Without the service: AUDIT_OFFLINE=1" if failed else ""


sys.exit(main() or 0)
