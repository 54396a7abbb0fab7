"""The machines of one run: which this one is, how many processes start, and where the machines meet.

Made by `python -m imgcls_lab.engine` from what the scheduler of a cluster says. Starts nothing.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import psutil
import torch
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import hardware
from imgcls_lab.errors import ConfigError, Problem, ProcessLostError
from imgcls_lab.planning.processes import allowed_processes, check_started, nodes_for
from imgcls_lab.plurals import counted

_ANSWER = timedelta(seconds=30)  # for one question to the store


@dataclass(frozen=True)
class Rendezvous:
    """The address where the launcher of node 0 serves the store in which all meet. It checks no user."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From HOST:PORT or [IPV6]:PORT. Raises ConfigError."""
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 2**16:
            raise ConfigError(f"“{text}” is no address of a rendezvous. Write HOST:PORT.")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def serve(self) -> TCPStore:
        """The store, on this address alone. Raises ProcessLostError where it is taken: a new attempt gets another."""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind, protocol)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError as error:
            raise ProcessLostError(f"The nodes cannot meet at {self}: {error.strerror or error}.") from error
        return TCPStore(
            self.host, self.port, None, True, _ANSWER, wait_for_workers=False, master_listen_fd=listener.detach()
        )

    def answers(self) -> bool:
        """Whether somebody listens there now."""
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def connect(self, attempt: str) -> Store:
        """The part of the store that belongs to an attempt. Raises DistError where nobody serves it."""
        store = TCPStore(self.host, self.port, None, False, _ANSWER, wait_for_workers=False)
        return PrefixStore(attempt, store)

    def interface(self) -> str | None:
        """The network interface of this machine by which the others reach it; None if the system does not tell."""
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)  # sends nothing
                own = probe.getsockname()[0]
        except OSError:
            return None
        return interface_of(own)


def interface_of(address: str) -> str | None:
    """The interface that has an address. Every address of 127.0.0.0/8 is the loopback interface's."""
    loopback = "127.0.0.1" if address.startswith("127.") else address
    found = psutil.net_if_addrs().items()
    return next((name for name, addresses in found if any(a.address in (address, loopback) for a in addresses)), None)


@dataclass(frozen=True)
class Node:
    """This machine among those of a run. number: 0 has the first process, which writes the events.

    rendezvous: None where there is one node; processes: of the attempt, on all nodes together; None: as many as the
    config says and GPUs can be seen.
    """

    number: int = 0
    count: int = 1
    rendezvous: Rendezvous | None = None
    processes: int | None = None

    @property
    def shown(self) -> str:
        return f"node {self.number} of {self.count}"

    def all_processes(self, config: TrainConfig) -> int:
        """The processes of this attempt on all nodes. Raises ConfigError if the config does not allow them."""
        most, nodes = config.num_processes, config.num_nodes
        allowed = sorted({nodes_for(number, most, nodes) for number in allowed_processes(config)}, reverse=True)
        if self.count not in allowed:
            text = (
                f"This run takes {' or '.join(map(str, allowed))} nodes, and it was started on {self.count}. Set "
                f"num_nodes to {self.count}, or let the scheduler of a cluster start the run."
            )
            raise ConfigError(text, [Problem("num_nodes", text)])
        found = self.processes or self._by_hardware(config)
        check_started(config, found, most)
        if nodes_for(found, most, nodes) != self.count:
            text = f"{counted(found, 'process', 'processes')} of this run do not fill {counted(self.count, 'node')}."
            raise ConfigError(text, [Problem("num_processes", text)])
        return found

    def _by_hardware(self, config: TrainConfig) -> int:
        if config.num_nodes > 1:
            return config.num_processes * self.count // config.num_nodes
        allowed = allowed_processes(config)
        if len(allowed) == 1 or hardware.pick_device(config).type != "cuda":
            return allowed[0]
        return next((number for number in allowed if number <= torch.cuda.device_count()), allowed[0])
