"""An HTTP/3 and WebTransport client on aioquic, for tests of our server.

    client.py CA PORT get PATH
    client.py CA PORT session PATH
    client.py CA PORT post PATH

Tells, a JSON object a line, what came back. `post` sends a megabyte in pieces, and trailers. `session` sends "bidirectional", "unidirectional" and "datagram" to an
echo, resets one stream with code 42, closes the session with code 9 and reason "done", and waits for the server's
end. Exit status 0 when everything came back within 10 s.
"""

import asyncio
import sys

import common
from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3 import events as h3
from aioquic.quic import events as quic
from aioquic.quic.configuration import QuicConfiguration

LIMIT = 10


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = common.new_http(self._quic)
        self.headers = {}
        self.trailers = {}
        self.streams = {}
        self.own = set()
        self.ended = set()
        self.datagrams = []
        self.resets = {}
        self.changed = asyncio.Condition()

    def quic_event_received(self, event):
        if isinstance(event, quic.StreamReset):
            self.resets[event.stream_id] = common.from_wire(event.error_code)
        if isinstance(event, quic.StreamDataReceived) and event.stream_id in self.own:
            # What comes back has no preface; aioquic would take it for HTTP/3 frames.
            self.received(event, event.end_stream)
        else:
            for http_event in self.http.handle_event(event):
                self.http_event(http_event)
        asyncio.ensure_future(self.wake())

    async def wake(self):
        async with self.changed:
            self.changed.notify_all()

    def http_event(self, event):
        if isinstance(event, h3.HeadersReceived):
            if event.stream_id in self.headers:
                self.trailers[event.stream_id] = dict(event.headers)
            elif dict(event.headers)[b":status"][:1] != b"1":
                self.headers[event.stream_id] = dict(event.headers)
            if event.stream_ended:
                self.ended.add(event.stream_id)
        elif isinstance(event, (h3.DataReceived, h3.WebTransportStreamDataReceived)):
            self.received(event, event.stream_ended)
        elif isinstance(event, h3.DatagramReceived):
            self.datagrams.append(event.data)

    def received(self, event, ended):
        self.streams[event.stream_id] = self.streams.get(event.stream_id, b"") + event.data
        if ended:
            self.ended.add(event.stream_id)

    def open(self, session):
        stream_id = self.http.create_webtransport_stream(session)
        self.own.add(stream_id)
        return stream_id

    async def until(self, what, condition):
        async def wait():
            async with self.changed:
                await self.changed.wait_for(condition)

        try:
            await asyncio.wait_for(wait(), LIMIT)
        except asyncio.TimeoutError:
            raise SystemExit(f"no {what} within {LIMIT} s")

    def request(self, authority, method, path, *fields):
        stream_id = self._quic.get_next_available_stream_id()
        pseudo = [(b":method", method), (b":scheme", b"https"), (b":authority", authority), (b":path", path.encode())]
        self.http.send_headers(stream_id, [*pseudo, *fields], end_stream=method == b"GET")
        self.transmit()
        return stream_id

    async def get(self, authority, path):
        stream_id = self.request(authority, b"GET", path)
        await self.until("response", lambda: stream_id in self.ended)
        status = int(self.headers[stream_id][b":status"])
        body = self.streams.get(stream_id, b"")
        common.tell(status=status, length=len(body), start=body[:64].decode(errors="replace"))

    async def post(self, authority, path):
        stream_id = self.request(authority, b"POST", path)
        content = bytes(i * i % 251 for i in range(1_000_000))
        for start in range(0, len(content), 70_000):
            self.http.send_data(stream_id, content[start : start + 70_000], end_stream=False)
            self.transmit()
            await asyncio.sleep(0)
        self.http.send_headers(stream_id, [(b"x-sum", str(len(content)).encode())], end_stream=True)
        self.transmit()
        await self.until("response", lambda: stream_id in self.ended)
        status = int(self.headers[stream_id][b":status"])
        trailer = self.trailers.get(stream_id, {}).get(b"x-sum", b"").decode()
        common.tell(status=status, whole=self.streams.get(stream_id) == content, trailer=trailer)

    async def session(self, authority, path):
        await self.until("SETTINGS", lambda: self.http.received_settings is not None)
        session = self.request(
            authority, b"CONNECT", path, (b":protocol", b"webtransport"), (b"sec-webtransport-http3-draft02", b"1")
        )
        await self.until("response", lambda: session in self.headers)
        status = int(self.headers[session][b":status"])
        common.tell(status=status)
        if status != 200:
            return
        await self.streams_both_ways(session)
        await self.one_datagram(session)
        broken = self.open(session)
        self._quic.send_stream_data(broken, b"to be broken off")
        self.transmit()
        # A reset takes unread data with it: only once the server has read can it tell whose stream this was.
        await self.until("echo before the reset", lambda: self.streams.get(broken))
        self._quic.reset_stream(broken, common.to_wire(42))
        self.transmit()
        self.http.send_data(session, common.close_capsule(9, "done"), end_stream=True)
        self.transmit()
        await self.until("end of the session", lambda: session in self.ended)
        common.tell(ended=True)

    async def streams_both_ways(self, session):
        there = self.open(session)
        self._quic.send_stream_data(there, b"bidirectional", end_stream=True)
        self.transmit()
        await self.until("echo on the bidirectional stream", lambda: there in self.ended)
        common.tell(bidirectional=self.streams[there].decode())
        there = self.http.create_webtransport_stream(session, is_unidirectional=True)
        self._quic.send_stream_data(there, b"unidirectional", end_stream=True)
        self.transmit()
        server_streams = lambda: [i for i in self.ended if i % 4 == 3 and self.streams.get(i)]
        await self.until("echo on a unidirectional stream", server_streams)
        common.tell(unidirectional=self.streams[server_streams()[0]].decode())

    async def one_datagram(self, session):
        # Datagrams may be lost, even here: a few are sent.
        for _ in range(3):
            self.http.send_datagram(session, b"datagram")
        self.transmit()
        await self.until("datagram", lambda: self.datagrams)
        common.tell(datagram=self.datagrams[0].decode())


async def main(ca, port, what, path):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], max_datagram_frame_size=65536)
    configuration.server_name = "localhost"
    configuration.load_verify_locations(cafile=ca)
    authority = f"localhost:{port}".encode()
    async with connect("127.0.0.1", int(port), configuration=configuration, create_protocol=Client) as client:
        await {"get": client.get, "post": client.post, "session": client.session}[what](authority, path)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
