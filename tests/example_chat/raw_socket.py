"""A WebSocket written by hand, for what no well-behaved client does."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
from urllib.parse import urlsplit

TEXT, BINARY, CLOSE, PING, CONTINUED = 1, 2, 8, 9, 0


class RawSocket:
    """Connected; nothing is read unless it is asked for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, url: str, receive_bytes: int | None = None) -> RawSocket:
        """``receive_bytes``: the kernel's buffer for what the other end sends."""
        parts = urlsplit(url)
        sock = socket.socket()
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (parts.hostname, parts.port))
        return cls(*await asyncio.open_connection(sock=sock, limit=1024))

    async def upgrade(self, path: str, **headers: str) -> str:
        """Asks for a WebSocket; the status line of the answer."""
        lines = {
            "Host": "127.0.0.1",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.writer.write(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        status = (await self.reader.readline()).decode().strip()
        while (await self.reader.readline()).strip():
            pass
        return status

    def send(self, opcode: int, payload: bytes = b"", *, final: bool = True) -> None:
        """A masked frame, as a client's has to be."""
        first = opcode | (0x80 if final else 0)
        if len(payload) < 126:
            head = struct.pack("!BB", first, 0x80 | len(payload))
        elif len(payload) < 65_536:
            head = struct.pack("!BBH", first, 0x80 | 126, len(payload))
        else:
            head = struct.pack("!BBQ", first, 0x80 | 127, len(payload))
        self.writer.write(head + b"\0\0\0\0" + payload)  # masked with nought: as it is

    async def close_code(self) -> int:
        """Reads up to the close frame: its code."""
        while True:
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            payload = await self.reader.readexactly(size)
            if first & 0x0F == CLOSE:
                return int(struct.unpack("!H", payload[:2])[0])

    async def until_ended(self) -> None:
        """Reads to the end, however it ends."""
        try:
            while await self.reader.read(65_536):
                pass
        except ConnectionError:
            pass

    async def close(self) -> None:
        self.writer.close()
