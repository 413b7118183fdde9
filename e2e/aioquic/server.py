"""An HTTP/3 and WebTransport server on aioquic, for tests of our client.

    server.py CERTIFICATE KEY

Listens on a port of the system's choice on 127.0.0.1 and tells it. GET answers `/` and `/bytes/N`, POST of `/echo`
sends content and trailers back; WebTransport
sessions exist on `/echo` (streams and datagrams come back) and `/close` (closed by the server at once with code 7,
"bye"). Tells, a JSON object a line: port, session, reset, stop, closed. Ends when its standard input does.
"""

import asyncio
import sys

import common
from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3 import events as h3
from aioquic.quic import events as quic
from aioquic.quic.configuration import QuicConfiguration


class Server(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = None
        self.sessions = {}
        self.closing = set()
        self.echoes = {}
        self.posts = set()

    def quic_event_received(self, event):
        if isinstance(event, quic.ProtocolNegotiated):
            self.http = common.new_http(self._quic)
        elif isinstance(event, quic.StreamReset):
            common.tell(reset=common.from_wire(event.error_code))
            # The way back has nothing more to say either.
            if event.stream_id % 4 == 0 and event.stream_id not in self.sessions:
                self._quic.reset_stream(event.stream_id, event.error_code)
        elif isinstance(event, quic.StopSendingReceived):
            common.tell(stop=common.from_wire(event.error_code))
        if self.http is not None:
            for http_event in self.http.handle_event(event):
                self.http_event(http_event)
        self.transmit()

    def http_event(self, event):
        if isinstance(event, h3.HeadersReceived) and event.stream_id in self.posts:
            self.http.send_headers(event.stream_id, event.headers, end_stream=event.stream_ended)
        elif isinstance(event, h3.HeadersReceived):
            self.request(event.stream_id, dict(event.headers))
        elif isinstance(event, h3.DataReceived) and event.stream_id in self.posts:
            self.http.send_data(event.stream_id, event.data, end_stream=event.stream_ended)
        elif isinstance(event, h3.DataReceived) and event.stream_id in self.sessions:
            closed = common.closed_by(self.sessions[event.stream_id].feed(event.data))
            if closed is not None:
                common.tell(closed=closed)
            if event.stream_ended:
                del self.sessions[event.stream_id]
                if event.stream_id not in self.closing:
                    self.http.send_data(event.stream_id, b"", end_stream=True)
        elif isinstance(event, h3.WebTransportStreamDataReceived):
            self.echo(event)
        elif isinstance(event, h3.DatagramReceived) and event.stream_id in self.sessions:
            self.http.send_datagram(event.stream_id, event.data)

    def echo(self, event):
        back = event.stream_id
        if event.stream_id % 4 == 2:
            if event.stream_id not in self.echoes:
                self.echoes[event.stream_id] = self.http.create_webtransport_stream(event.session_id, is_unidirectional=True)
            back = self.echoes[event.stream_id]
        self._quic.send_stream_data(back, event.data, end_stream=event.stream_ended)

    def request(self, stream_id, headers):
        method, path = headers.get(b":method"), headers.get(b":path", b"/").decode()
        if method == b"CONNECT" and headers.get(b":protocol") == b"webtransport":
            self.connect(stream_id, path, headers)
        elif method == b"GET":
            self.get(stream_id, path)
        elif method == b"POST" and path == "/echo":
            self.posts.add(stream_id)
            self.answer(stream_id, 200, False)
        else:
            self.answer(stream_id, 405, end=True)

    def answer(self, stream_id, status, end, *fields):
        self.http.send_headers(stream_id, [(b":status", str(status).encode()), *fields], end_stream=end)

    def connect(self, stream_id, path, headers):
        if path not in ("/echo", "/close"):
            self.answer(stream_id, 404, end=True)
            return
        self.sessions[stream_id] = common.Capsules()
        common.tell(session=path, origin=headers.get(b"origin", b"").decode())
        self.answer(stream_id, 200, False, (b"sec-webtransport-http3-draft", b"draft02"))
        if path == "/close":
            self.closing.add(stream_id)
            self.http.send_data(stream_id, common.close_capsule(7, "bye"), end_stream=True)

    def get(self, stream_id, path):
        if path == "/":
            body = b"aioquic says hello\n"
        elif path.startswith("/bytes/") and path[7:].isdigit():
            body = b"x" * int(path[7:])
        else:
            self.answer(stream_id, 404, end=True)
            return
        self.answer(stream_id, 200, False, (b"content-length", str(len(body)).encode()))
        self.http.send_data(stream_id, body, end_stream=True)


async def main(certificate, key):
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"], max_datagram_frame_size=65536)
    # Room for the largest datagram that a browser sends, which comes back as it was.
    configuration.max_datagram_size = 1400
    configuration.load_cert_chain(certificate, key)
    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=Server)
    common.tell(port=server._transport.get_extra_info("sockname")[1])
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
