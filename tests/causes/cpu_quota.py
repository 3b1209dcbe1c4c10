"""A CPU quota for one program, as containers have it: a control group of its own (cgroups(7)), of version 1 or 2."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from types import TracebackType

ROOT = Path("/sys/fs/cgroup")
#: The longest there is: a quota cannot be less than a millisecond.
PERIOD_US = 1_000_000


class CpuQuota:
    """A control group without a quota at first; a program is started in it `through` this."""

    def __init__(self, name: str) -> None:
        self._version = 1 if (ROOT / "cpu").is_dir() else 2
        self._group = (ROOT / "cpu" if self._version == 1 else ROOT) / f"{name}-{os.getpid()}"

    async def __aenter__(self) -> CpuQuota:
        self._group.mkdir()
        try:
            self.allow(None)
        except OSError:
            self._group.rmdir()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Whoever is still in it goes back, since only an empty group can be removed.
        for process in (self._group / "cgroup.procs").read_text(encoding="ascii").split():
            with contextlib.suppress(OSError):
                (self._group.parent / "cgroup.procs").write_text(process, encoding="ascii")
        self._group.rmdir()

    @property
    def through(self) -> tuple[str, ...]:
        """What a command line begins with to run inside."""
        return ("sh", "-c", f'echo $$ > "{self._group}/cgroup.procs" && exec "$@"', "sh")

    def allow(self, share: float | None) -> None:
        """From now on the programs inside get this share of one CPU; `None` = all that they want."""
        quota = None if share is None else int(share * PERIOD_US)
        if self._version == 1:
            (self._group / "cpu.cfs_quota_us").write_text("-1", encoding="ascii")
            (self._group / "cpu.cfs_period_us").write_text(str(PERIOD_US), encoding="ascii")
            (self._group / "cpu.cfs_quota_us").write_text(str(-1 if quota is None else quota), encoding="ascii")
        else:
            (self._group / "cpu.max").write_text(f"{'max' if quota is None else quota} {PERIOD_US}", encoding="ascii")


def why_impossible() -> str | None:
    """Why no quota can be given here, as in a container that may not change its own groups; `None` where it can."""
    probe = CpuQuota("causes-probe")
    try:
        probe._group.mkdir()
        try:
            probe.allow(None)
        finally:
            probe._group.rmdir()
    except OSError as error:
        return f"{probe._group}: {errno.errorcode.get(error.errno or 0, 'error')}, {error.strerror}"
    return None
