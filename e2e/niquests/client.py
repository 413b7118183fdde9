"""Plain HTTP/3 with niquests, for tests of our server.

    client.py CA PORT

Downloads /large/100 (100 MiB), uploads 20 MiB to /sha256, and asks for /. Tells, in a JSON object on one line, the
protocol, what was downloaded (size and SHA-256), and what the server had of the upload. Every request goes over
HTTP/3: there is no other server at the port.
"""

import hashlib
import json
import sys

import niquests


def main(ca, port):
    base = f"https://localhost:{port}"
    with niquests.Session() as session:
        # As if an Alt-Svc field had said so.
        session.quic_cache_layer.add_domain("localhost", int(port))
        start = session.get(f"{base}/", verify=ca)
        digest, size = hashlib.sha256(), 0
        with session.get(f"{base}/large/100", verify=ca, stream=True) as response:
            versions = {start.http_version, response.http_version}
            for piece in response.iter_content(1 << 20):
                digest.update(piece)
                size += len(piece)
        content = bytes(i * 7 % 251 for i in range(1 << 20)) * 20
        sent = session.post(f"{base}/sha256", data=content, verify=ca)
        versions.add(sent.http_version)
        print(
            json.dumps(
                {
                    "start": start.text,
                    "versions": sorted(versions),
                    "size": size,
                    "sum": digest.hexdigest(),
                    "sent": sent.text == hashlib.sha256(content).hexdigest(),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:3])
