"""A connection to PostgreSQL by our settings, and what its errors mean to us."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import asyncpg

from config.settings import PostgresSettings
from schemas.errors import InvalidSetting, RecordRefused, StoreUnavailable

_AWAY = (
    OSError,  # refused, reset, unknown host, and TimeoutError
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, cancelled
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidCatalogNameError,  # no such database
    asyncpg.UndefinedTableError,
    asyncpg.TransactionRollbackError,  # deadlock
    asyncpg.ObjectNotInPrerequisiteStateError,  # a lock not to be had
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresSystemError,  # a disk's error
)
"""What trying again later may mend."""

_REFUSED = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,  # the server's: out of range, NUL in a text
    asyncpg.exceptions._base.DataError,  # the client's, of the same name
    asyncpg.ProgramLimitExceededError,  # larger than PostgreSQL takes
    OverflowError,  # the client's: no such number in that type
)
"""What lies in the record."""


async def connect(settings: PostgresSettings, schema: str = "") -> asyncpg.Connection:
    """A connection whose every statement answers within ``timeout_seconds``.

    ``schema``: where its tables are, a name of ours; where the server looks, if not given.

    Use it within `answering`, which turns its errors into ours.
    """
    password = settings.password.get_secret_value() if settings.password else None
    return await asyncpg.connect(
        settings.url,
        password=password,
        timeout=settings.timeout_seconds,
        command_timeout=settings.timeout_seconds,
        server_settings={"application_name": "learner"}
        | ({"search_path": schema} if schema else {}),
    )


@asynccontextmanager
async def connected(settings: PostgresSettings) -> AsyncIterator[asyncpg.Connection]:
    """A connection for a question or two.

    Raises:
        StoreUnavailable: nobody answers, or the store lets nobody in.
    """
    with answering(settings):
        connection = await connect(settings)
        try:
            yield connection
        finally:
            connection.terminate()


@asynccontextmanager
async def transaction(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """As ``connection.transaction()``, a savepoint inside another one, but it is rolled back only
    where a record was refused. With any other error the connection goes, and the transaction with
    it: a server that does not answer is not asked once more."""
    inner = connection.transaction()
    try:
        await inner.start()
        try:
            yield
        except _REFUSED:
            await inner.rollback()
            raise
        await inner.commit()
    except _REFUSED:
        raise
    except BaseException as error:
        lost = connection.is_closed() or isinstance(error, asyncpg.InternalClientError)
        connection.terminate()
        if lost and isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
            # So says asyncpg of a connection that the server has ended meanwhile.
            raise asyncpg.ConnectionDoesNotExistError(f"connection lost ({error})") from None
        raise


@contextmanager
def answering(settings: PostgresSettings) -> Iterator[None]:
    """Turns PostgreSQL's errors into ours; what is neither of the two is a bug, and stays.

    Raises:
        StoreUnavailable: with the address, what it said and what to do.
        RecordRefused: with PostgreSQL's message.
        InvalidSetting: the address is none.
    """
    try:
        yield
    except asyncpg.exceptions.ClientConfigurationError as error:
        raise InvalidSetting(f"LEARNER_POSTGRES__URL: {_first_line(error)}") from None
    except _REFUSED as error:
        raise RecordRefused(_first_line(error)) from None
    except TimeoutError:
        raise _unavailable(settings, f"no answer within {settings.timeout_seconds:g} s") from None
    except _AWAY as error:
        raise _unavailable(settings, _first_line(error)) from None


def _unavailable(settings: PostgresSettings, said: str) -> StoreUnavailable:
    parts = urlsplit(settings.url)
    place = parts.netloc.rpartition("@")[2] + parts.path
    return StoreUnavailable(
        f"PostgreSQL at {place}: {said}; start it, or set LEARNER_POSTGRES__URL (and …__PASSWORD)"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:500]
