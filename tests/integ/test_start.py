# SPDX-License-Identifier: Apache-2.0
"""A start that cannot succeed says why and ends; a stop ends whatever is being asked."""

import socket
import subprocess
import threading
import urllib.error

import pytest
from catalogs import MEMBER
from weir import Weir, binary, wait_until


def test_an_admin_address_in_use_ends_the_start(tmp_path):
    weir = Weir(tmp_path)
    with socket.create_server(("127.0.0.1", weir.admin_port)):
        weir.spawn()
        try:
            assert weir.process.wait(20) == 1
        finally:
            weir.kill9()
    assert str(weir.admin_port) in weir.log_tail()


def test_a_second_process_is_refused_by_the_folder_of_the_first(tmp_path):
    with Weir(tmp_path / "first") as first:
        second = Weir(tmp_path / "second", store=f"embedded:{first.state}")
        second.spawn()
        assert second.process.wait(30) == 1
        assert "another process holds it; one store has one gateway" in second.log_path.read_text()
        first.kill9()
        second.start()  # the lock went with its owner, however that ended
        assert second.stop() == 0


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


@pytest.mark.parametrize("name, message", [
    ("list", "weir: list: not in this version"), ("serv", "weir: unknown command serv")])
def test_a_command_that_is_none_is_named(name, message):
    done = subprocess.run([str(binary()), name, "--config", "x"], capture_output=True, text=True,
                          timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message) and done.stderr.count("\n") == 1


def test_an_admin_listener_answers_to_the_address_it_was_given(tmp_path):
    weir = Weir(tmp_path)
    weir.config["listen"]["admin"]["address"] = f"127.0.0.2:{weir.admin_port}"
    weir.write_config()
    weir.admin_url = f"http://127.0.0.2:{weir.admin_port}"
    with weir:
        assert weir.stats()["store"]["kind"] == "embedded"
        assert weir.apply({"accounts": []}).returncode == 0
