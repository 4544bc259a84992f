"""Everything that a node remembers, opened from one data directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from flocknode.errors import ConfigurationError
from flocknode.primitives import Address
from flocknode.storage.bans import BanFile
from flocknode.storage.blobs import DiskBlobs
from flocknode.storage.journal import MessageJournal
from flocknode.storage.outbox import TransactionOutbox
from flocknode.storage.protection import SigningProtection
from flocknode.storage.secrets import SecretFiles


@dataclass(frozen=True, slots=True)
class Storage:
    """A data directory's state, held by this process alone until closed."""

    protection: SigningProtection
    secrets: SecretFiles
    journal: MessageJournal
    blobs: DiskBlobs
    bans: BanFile
    outbox: TransactionOutbox | None = None
    """None where no transactions are sent: in simulations."""

    @classmethod
    def open(cls, directory: Path, address: Address) -> Self:
        """Lock the directory first; raise ``ConfigurationError`` if something in it is amiss."""
        try:
            protection = SigningProtection(directory, address)
            try:
                return cls(
                    protection,
                    SecretFiles(directory),
                    MessageJournal(directory),
                    DiskBlobs(directory),
                    BanFile(directory),
                    TransactionOutbox(directory),
                )
            except BaseException:
                protection.close()
                raise
        except OSError as error:
            raise ConfigurationError(
                f"cannot use {directory}: {error.strerror}", "give the node's user access to it"
            ) from error

    def close(self) -> None:
        """Write what is left and give the directory up."""
        self.blobs.close()
        self.journal.close()
        if self.outbox is not None:
            self.outbox.close()
        self.protection.close()
