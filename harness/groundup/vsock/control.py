"""What a run's tests may ask of the vsock switch, as `vsock.NAME`: faults, and ends that the host plays."""

import asyncio
import itertools
from typing import Any, Final

from groundup.vsock.faults import Plan
from groundup.vsock.host import Caller, Echo, Silent
from groundup.vsock.switch import Switch
from groundup_guest.rpc import RpcError

FIRST_PORT: Final = 50_000
"""Of the host's own ports: away from those that programs use."""
FAULTS: Final = frozenset({"seed", "delay", "jitter", "reset_chance", "reset_after", "credit", "port"})
ENDS: Final = ("echo", "silent")


class Control:
    """Answers the tests' calls. What they set up lasts until they call `clear`, which each test does at its end."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._ports = itertools.count(FIRST_PORT)
        self._ends: dict[int, Echo | Silent | Caller] = {}

    async def call(self, name: str, params: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """Answer one call. Raises RpcError for what makes no sense."""
        match name:
            case "faults":
                self._faults(params.get("plan"))
            case "listen":
                return {"port": self._listen(str(params.get("end")))}, b""
            case "dial":
                return await self._dial(params, payload)
            case "clear":
                self.clear()
            case _:
                raise RpcError(f"there is no method vsock.{name}")
        return {}, b""

    def clear(self) -> None:
        """End all faults, and take the host's ends away."""
        self._switch.set_faults(None)
        for port, end in self._ends.items():
            self._switch.unlisten(port)
            end.close()
        self._ends.clear()

    def _faults(self, plan: object) -> None:
        if not isinstance(plan, dict) or plan.keys() - FAULTS:
            raise RpcError(f"a plan of faults has {', '.join(sorted(FAULTS))}")
        try:
            self._switch.set_faults(Plan(**plan))
        except (TypeError, ValueError) as error:
            raise RpcError(f"a plan of faults: {error}") from error

    def _listen(self, kind: str) -> int:
        if kind not in ENDS:
            raise RpcError(f"a host's end is one of {', '.join(ENDS)}")
        port = next(self._ports)
        self._add(port, Echo(self._switch, port) if kind == "echo" else Silent())
        return port

    def _add(self, port: int, end: Echo | Silent | Caller) -> None:
        self._switch.listen(port, end)
        self._ends[port] = end

    async def _dial(self, params: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """Dial a guest, send `data` and the end; return what came until the guest's end, and how that was."""
        try:
            guest = int(params["cid"]), int(params["port"])
            deadline = float(params.get("deadline", 10.0))
        except (KeyError, TypeError, ValueError) as error:
            raise RpcError(f"vsock.dial: {error}") from error
        port = next(self._ports)
        caller = Caller(self._switch, guest, port, data)
        self._add(port, caller)
        caller.dial()
        try:
            async with asyncio.timeout(deadline):
                await caller.stream.over.wait()
        except TimeoutError:
            pass  # what has not come by now is for the test to judge
        stream = caller.stream
        found = {"connected": caller.connected, "ended": stream.guest_ended, "reset": stream.reset}
        return found, bytes(stream.received)
