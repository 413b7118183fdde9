"""HTTP/0.9 over QUIC on aioquic, with sessions that are resumed and asked in 0-RTT, for tests of `weft-interop`.

    hq.py client PORT PATH
    hq.py versions PORT PATH FIRST VERSIONS
    hq.py server CERTIFICATE KEY CONTENT [VERSIONS]

The client takes any certificate. It gets PATH, closes, and gets it again by 0-RTT on a connection that resumes the first, with the token
that the server gave, if it did. It tells, a JSON object a line for each connection, what it got, whether the connection was resumed and its
early data accepted, and with a token. As `versions` it gets PATH once, on a connection that it opens in QUIC version FIRST, accepting VERSIONS
(such as 2,1, the most preferred first), and tells what it got and of which version the connection was. The server answers every GET with
CONTENT and tells the same of each connection; it ends when its standard input does.
"""

import asyncio
import ssl
import sys

import common
from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion

LIMIT = 10
VERSIONS = {"1": QuicProtocolVersion.VERSION_1, "2": QuicProtocolVersion.VERSION_2}


def versions_of(text):
    return [VERSIONS[name] for name in text.split(",")]


def version_of(connection):
    return next((int(name) for name, number in VERSIONS.items() if number == connection._version), None)


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.content = b""
        self.ended = asyncio.Event()
        self.completed = None

    def quic_event_received(self, event):
        if isinstance(event, events.HandshakeCompleted):
            self.completed = event
        elif isinstance(event, events.StreamDataReceived):
            self.content += event.data
            if event.end_stream:
                self.ended.set()

    async def get(self, path):
        stream_id = self._quic.get_next_available_stream_id()
        self._quic.send_stream_data(stream_id, f"GET {path}\r\n".encode(), end_stream=True)
        self.transmit()
        await asyncio.wait_for(self.ended.wait(), LIMIT)
        common.tell(
            length=len(self.content),
            resumed=self.completed.session_resumed,
            early=self.completed.early_data_accepted,
            token=bool(self._quic.configuration.token),
        )


async def client(port, path):
    kept = {"tickets": [], "tokens": []}
    for early in (False, True):
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["hq-interop"])
        configuration.server_name = "localhost"
        configuration.verify_mode = ssl.CERT_NONE
        if early:
            configuration.session_ticket = kept["tickets"].pop()
            configuration.token = kept["tokens"].pop() if kept["tokens"] else b""
        async with connect(
            "127.0.0.1",
            int(port),
            configuration=configuration,
            create_protocol=Client,
            session_ticket_handler=kept["tickets"].append,
            token_handler=kept["tokens"].append,
            wait_connected=not early,
        ) as protocol:
            await protocol.get(path)
            for _ in range(LIMIT * 100):
                if kept["tickets"]:
                    break
                await asyncio.sleep(0.01)


async def versions(port, path, first, accepted):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["hq-interop"])
    configuration.server_name = "localhost"
    configuration.verify_mode = ssl.CERT_NONE
    configuration.supported_versions = versions_of(accepted)
    configuration.original_version = VERSIONS[first]
    async with connect(
        "127.0.0.1", int(port), configuration=configuration, create_protocol=Client
    ) as protocol:
        await protocol.get(path)
        common.tell(version=version_of(protocol._quic))


class Server(QuicConnectionProtocol):
    content = b""

    def quic_event_received(self, event):
        if isinstance(event, events.HandshakeCompleted):
            common.tell(done=[event.session_resumed, event.early_data_accepted])
            common.tell(version=version_of(self._quic))
        elif isinstance(event, events.StreamDataReceived) and event.end_stream:
            self._quic.send_stream_data(event.stream_id, self.content, end_stream=True)
            self.transmit()


async def server(certificate, key, content, accepted="1,2"):
    Server.content = content.encode()
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["hq-interop"])
    configuration.load_cert_chain(certificate, key)
    configuration.supported_versions = versions_of(accepted)
    tickets = {}
    listening = await serve(
        "127.0.0.1",
        0,
        configuration=configuration,
        create_protocol=Server,
        session_ticket_fetcher=lambda label: tickets.pop(label, None),
        session_ticket_handler=lambda ticket: tickets.update({ticket.ticket: ticket}),
    )
    common.tell(port=listening._transport.get_extra_info("sockname")[1])
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    listening.close()


if __name__ == "__main__":
    asyncio.run({"client": client, "versions": versions, "server": server}[sys.argv[1]](*sys.argv[2:]))
