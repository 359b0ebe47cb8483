# SPDX-License-Identifier: Apache-2.0
"""A start that cannot succeed says why and ends; a stop ends whatever is being asked."""

import socket
import threading
import urllib.error

from catalogs import MEMBER
from weir import Weir, wait_until


def test_an_admin_address_in_use_ends_the_start(tmp_path):
    weir = Weir(tmp_path)
    with socket.create_server(("127.0.0.1", weir.admin_port)):
        weir.spawn()
        try:
            assert weir.process.wait(20) == 1
        finally:
            weir.kill9()
    assert str(weir.admin_port) in weir.log_tail()


def ask_until_refused(weir):
    """Ask for figures, one question after the other, until nobody answers any more."""
    try:
        while True:
            weir.admin("GET", "/v1/stats")
    except (urllib.error.URLError, OSError):
        pass


def test_questions_under_way_do_not_disturb_the_end(tmp_path):
    config = {"workers": 2, "listen": {"data": {"cleartext": True}}}
    with Weir(tmp_path, config=config) as weir:
        weir.apply({"accounts": [{"id": MEMBER, "name": "member"}]})
        key = weir.issue(MEMBER, "api-key")["key"]
        # A body that does not come holds one worker back while the other has ended.
        with socket.create_connection(("127.0.0.1", weir.data_port)) as slow:
            slow.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\ncontent-length: 100\r\n"
                         b"x-api-key: " + key.encode() + b"\r\n\r\n{")
            asking = [threading.Thread(target=ask_until_refused, args=(weir,)) for _ in range(8)]
            for thread in asking:
                thread.start()
            weir.process.terminate()
            wait_until(lambda: not weir.is_ready(), "weir is stopping")
        assert weir.stop() == 0, weir.log_tail()
        for thread in asking:
            thread.join(30)
        assert "AddressSanitizer" not in weir.log_tail(400)
