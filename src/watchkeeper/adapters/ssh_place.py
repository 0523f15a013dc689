"""Where a command goes by ssh, and with which credential."""

from collections.abc import Callable

from msgspec import Struct

from watchkeeper.adapters.address import AddressRule, endpoint
from watchkeeper.adapters.process_spec import Stream
from watchkeeper.catalog.reach import SshWay

OnOutput = Callable[[Stream, bytes], None]


class SshPlace(Struct, frozen=True, kw_only=True):
    """A host and the credential for it: `key` an OpenSSH or PEM private key, `certificate` one an SSH CA gave it."""

    way: SshWay
    key: str
    certificate: str = ""

    def __repr__(self) -> str:
        return f"SshPlace({self.where})"

    @property
    def where(self) -> str:
        return f"{self.way.user}@{endpoint(self.way.host, self.way.port)}"

    @property
    def rule(self) -> AddressRule:
        """The catalogue names this very host, so a guarded address is meant when it stands there as a literal."""
        return AddressRule(declared=frozenset({endpoint(self.way.host, self.way.port)}))
