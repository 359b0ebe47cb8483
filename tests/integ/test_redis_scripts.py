# SPDX-License-Identifier: Apache-2.0
"""The scripts of the Redis engine, asked by another client on a real Redis: the rules that each must
keep whatever it is given.

What they do for the engine is told by the contract suite; here is what they may not do: write before
they have looked at everything, grow with a backlog, print numbers as 1.7e+15, put tenant text into
a reply, touch a key that is not of their slot, or stop when memory is full.
"""

import re
import struct
from pathlib import Path

import pytest
import redis
from redis_server import RedisServer

LUA = Path(__file__).resolve().parents[2] / "storage" / "lua"
OF_PARTITION = {"advance", "archive_find", "archive_read", "archive_sizes", "archive_trim", "bury", "claim",
                "commit", "dead_edit", "dead_find", "dead_read", "dues", "lanes", "lease", "park", "release",
                "retry", "settle", "tally"}
OTHERS = {"beat", "catalog_put", "catalog_read", "open"}
# Everything that makes room, or lets what is stored move on; the rest takes in something new.
DRAINING = {"advance", "archive_trim", "beat", "bury", "claim", "dead_edit", "lanes", "park", "release",
            "retry", "settle"}
READING = {"archive_find", "archive_read", "archive_sizes", "catalog_read", "dead_find", "dead_read", "dues",
           "tally"}

P = "{7}"
C, B, N, A, L, K, X, S = (f"{kind}:{P}" for kind in "cbnaLkxs")
ACCOUNT = "111122223333"
LANE = f"{ACCOUNT}/t1"
NOW = 1_800_000_000_000  # a time of 13 digits, as they are
TILL = NOW + 90_000
ME = 5
MIB = 1 << 20


def text_of(name):
    """As embed.cmake makes it: common.lua behind the first line."""
    script = (LUA / f"{name}.lua").read_text()
    if name in OF_PARTITION:
        first, rest = script.split("\n", 1)
        script = first + "\n" + (LUA / "common.lua").read_text() + rest
    return script


def flags(name):
    return (LUA / f"{name}.lua").read_text().split("\n", 1)[0]


def held(lane=LANE):
    return f"h:{P}:{lane}"


def waiting(lane=LANE):
    return f"w:{P}:{lane}"


def record(event_id, body=b"{}", lanes=(LANE,)):
    """record.c's bytes; the checksum is the engine's affair."""
    parts = [ACCOUNT, event_id]
    for lane in lanes:
        parts += [lane, "central", "rule", "target"]
    texts = b"".join(struct.pack("<H", len(part)) + part.encode() for part in parts)
    return struct.pack("<IIQII", 0, 1, NOW, len(lanes), len(body)) + texts + body


def ref(seq, ordinal=0):
    return struct.pack(">QH", seq, ordinal)


class Store:
    """One Redis and the scripts, called as the engine calls them."""

    def __init__(self, server):
        self.server, self.db = server, server.client()
        self.sha = {name: self.db.script_load(text_of(name)) for name in OF_PARTITION | OTHERS}

    def call(self, name, *args, keys=(C,)):
        return self.db.evalsha(self.sha[name], len(keys), *keys, *args)

    def entry(self, event_id, now=NOW, key=b"", content=b"", body=b"{}", lanes=(LANE,), claim=1,
              guard=b"", archives=()):
        deliveries = [word for lane in lanes for word in (lane, claim)]
        bare = [record(event_id, body, ()), now] if archives else []
        rooms = [word for archive in archives for word in (archive, MIB)]
        return [now, now + 90_000, ACCOUNT, event_id, record(event_id, body, lanes),
                key, content, 300_000 if key else 0,
                guard, 300_000 if guard else 0, 2000 if guard else 0, len(lanes), *deliveries,
                len(archives), *bare, *rooms]

    def commit(self, *entries):
        return self.call("commit", ME, len(entries), *[word for one in entries for word in one])

    def claim(self, now=NOW, count=64, lane=LANE, till=None, bytes_max=MIB, claimer=ME):
        return self.call("claim", claimer, lane, now, till or now + 90_000, count, bytes_max)

    def dump(self):
        """Everything there is."""
        readers = {b"hash": self.db.hgetall, b"string": self.db.get,
                   b"zset": lambda key: self.db.zrange(key, 0, -1, withscores=True),
                   b"list": lambda key: self.db.lrange(key, 0, -1)}
        return {key: readers[self.db.type(key)](key) for key in self.db.keys()}

    def changes(self, deed):
        """The commands of the script that `deed` runs, as the append-only file gets them."""
        path = Path(self.server.config_get("dir"), self.server.config_get("appenddirname"))
        (log,) = path.glob("*.incr.aof")
        before = log.stat().st_size
        deed()
        words = re.findall(rb"\*\d+\r\n((?:\$\d+\r\n.*?\r\n)+)", log.read_bytes()[before:], re.S)
        lines = [re.findall(rb"\$\d+\r\n(.*?)\r\n", line, re.S) for line in words]
        return [line for line in lines if line[0].upper() not in (b"MULTI", b"EXEC", b"SELECT")]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis") / "one") as running:
        yield running


@pytest.fixture
def store(server):
    server.call("FLUSHALL")
    server.config_set(maxmemory=0)
    return Store(server)


def test_every_script_says_whether_it_needs_memory():
    """What drains runs on a full Redis, what takes in is refused before its first line; and no
    script is without the first line, for then Redis would look only at its first write."""
    assert {path.stem for path in LUA.glob("*.lua")} - {"common"} == OF_PARTITION | OTHERS
    for name in OF_PARTITION | OTHERS:
        expected = ("#!lua flags=allow-oom" if name in DRAINING
                    else "#!lua flags=no-writes" if name in READING else "#!lua")
        assert flags(name) == expected, name


def test_every_script_is_embedded():
    cmake = (LUA / "embed.cmake").read_text()
    assert set(re.search(r"foreach\(name ([a-z_ ]+)\)", cmake)[1].split()) == OF_PARTITION | OTHERS
    assert set(re.search(r"\^\(([a-z_|]+)\)\$", cmake)[1].split("|")) == OTHERS


def fill(store):
    """One of everything: held, waiting, retried, parked, dead, marked."""
    store.commit(store.entry("e-held", key=b"k1", content=b"c1", guard=b"g1"),
                 store.entry("e-two", lanes=(LANE, LANE + "b")))
    store.commit(store.entry("e-waiting", claim=0, archives=(5,)),
                 store.entry("e-dead", now=NOW + 1, claim=0))
    reply = store.claim(now=NOW + 1)
    claims = {bytes(row[0]): row[1] for row in reply[2:]}
    first, second = sorted(claims)
    assert store.call("bury", 0, LANE, first, claims[first], NOW + 2, 3, "reason", "words") == [1]
    assert store.call("retry", 0, LANE, second, claims[second], NOW + 500, 1, 7) == [1]
    store.call("park", ME, LANE + "z", NOW + 60_000)
    return first, second


BAD_CALLS = [
    ("commit", lambda s: ["x", 1, *s.entry("e")]),
    ("commit", lambda s: [ME, 2, *s.entry("e")]),  # an entry is missing
    ("commit", lambda s: [ME, 1, *s.entry("e"), "more"]),
    ("commit", lambda s: [ME, 2, *s.entry("e", key=b"k9"), *["soon", *s.entry("f")[1:]]]),
    ("commit", lambda s: [ME, 1, *s.entry("e")[:-2]]),
    ("commit", lambda s: [ME, 1, *s.entry("e", archives=(5,))[:-1]]),
    ("commit", lambda s: [ME, 1, *s.entry("e", archives=(5,))[:-2], "x", MIB]),
    ("archive_trim", lambda s: ["x", NOW, 8]),
    ("archive_trim", lambda s: [5, "x", 8]),
    ("archive_trim", lambda s: [5, NOW, "x"]),
    ("claim", lambda s: [ME, LANE, "now", TILL, 1, MIB]),
    ("claim", lambda s: [ME, LANE, NOW + 1000, "x", 1, MIB]),
    ("claim", lambda s: [ME, LANE, NOW + 1000, TILL, "x", MIB]),
    ("claim", lambda s: [ME, LANE]),
    ("retry", lambda s: [0, *s.one, NOW + 5, 1, "x"]),
    ("retry", lambda s: [0, *s.one, "x", 1, 7]),
    ("retry", lambda s: [0, *s.one, NOW + 5, 1, 7, LANE]),
    ("advance", lambda s: [0, *s.one, LANE + ".b", "x", 1, 7, "state"]),
    ("advance", lambda s: [0, *s.one, LANE + ".b", NOW, "x", 7, "state"]),
    ("advance", lambda s: [0, *s.one, LANE + ".b", NOW, 1, 7]),
    ("bury", lambda s: [0, *s.one, "x", 1, "reason", "words"]),
    ("bury", lambda s: [0, *s.one, NOW, "x", "reason", "words"]),
    ("bury", lambda s: [0, *s.one, NOW, 1, "reason"]),
    ("settle", lambda s: [*s.one[:2], LANE]),
    ("settle", lambda s: [LANE, b"short"]),
    ("park", lambda s: [ME, LANE, "x"]),
    ("park", lambda s: ["x", LANE, NOW]),
    ("release", lambda s: [LANE, "x", "e-held"]),
    ("release", lambda s: [LANE, s.one[2]]),
    ("lanes", lambda s: ["x", 0, 0, 64]),
    ("lanes", lambda s: [NOW, 0, 0]),
    ("dead_edit", lambda s: ["r", "x", s.dead]),
    ("dead_edit", lambda s: ["z", NOW, s.dead]),
    ("lease", lambda s: [ACCOUNT, 10, 10, 0, 5, ACCOUNT, "x", 10, 0, 5]),
    ("lease", lambda s: [ACCOUNT, 10, 10, 0]),
]


@pytest.mark.parametrize(("name", "args"), BAD_CALLS)
def test_bad_arguments_change_nothing(store, name, args):
    """All arguments are looked at before the first write: a script that raises keeps its writes."""
    fill(store)
    held_ref, score = store.db.zrange(held(), 0, 0, withscores=True)[0]
    store.one = [LANE, held_ref, int(score)]
    store.dead = int(store.db.zrange(X, 0, 0, withscores=True)[0][1])
    before = store.dump()
    with pytest.raises(redis.ResponseError):
        store.call(name, *args(store))
    assert store.dump() == before


WRONG_KEYS = {
    "commit": [C, B, N, L, K, waiting(), held(), f"m:{P}:k9", f"m:{P}:g9", f"v:{P}", f"y:{P}:5",
               f"z:{P}:5"],
    "archive_trim": [f"v:{P}", f"y:{P}:5", f"z:{P}:5"],
    "claim": [L, K, A, B, waiting(), held()],
    "retry": [A, L, K, waiting(), held()],
    "advance": [A, L, K, S, waiting(), held(), waiting(LANE + ".b"), held(LANE + ".b")],
    "bury": [A, X, C, waiting(), held()],
    "settle": [C, A, N, B, L, waiting(), held()],
    "park": [A, L, K, waiting(), held()],
    "release": [A, L, K, B, waiting(), held()],
    "lanes": [L, K, waiting(), held()],
    "dead_edit": [A, L, X, C, waiting()],
    "lease": [f"r:{P}"],
}


def good_call(store, name):
    held_ref, score = store.db.zrange(held(), 0, 0, withscores=True)[0]
    one = [LANE, held_ref, int(score)]
    dead = int(store.db.zrange(X, 0, 0, withscores=True)[0][1])
    return {
        "archive_trim": [5, TILL, 8],
        "commit": [ME, 2, *store.entry("e", key=b"k9", content=b"c", guard=b"g9", archives=(5, 6)),
                   *store.entry("f", claim=0, lanes=(LANE, LANE))],
        "claim": [ME, LANE, NOW + 1000, TILL, 4, MIB],
        "retry": [0, *one, NOW + 5, 1, 7],
        "advance": [0, *one, LANE + ".b", NOW + 5, 1, 7, "state"],
        "bury": [0, *one, NOW, 1, "reason", "words"],
        "settle": one[:2],
        "park": [ME, LANE, NOW + 5],
        "release": [LANE, one[2], "e-held"],
        "lanes": [TILL + 5, 0, 0, 64],
        "dead_edit": ["r", NOW, dead],
        "lease": [ACCOUNT, 10, 10, 0, 5],
    }[name]


@pytest.mark.parametrize(("name", "key"),
                         [(name, key) for name, keys in WRONG_KEYS.items() for key in keys])
def test_a_key_of_another_type_is_an_error_and_changes_nothing(store, name, key):
    """Somebody else's key in our place: refused, and nothing half done."""
    fill(store)
    args = good_call(store, name)
    store.db.delete(key)
    store.db.rpush(key, "not weir's")
    before = store.dump()
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        store.call(name, *args)
    assert store.dump() == before


def test_a_mark_is_written_last(store):
    """A commit that breaks off may repeat an event, never hide one."""
    lines = store.changes(lambda: store.commit(
        store.entry("e", key=b"k1", content=b"c1", guard=b"g1", lanes=(LANE, LANE + "b"),
                    archives=(5,))))
    keys = [line[1].decode() for line in lines]
    first_mark = next(i for i, key in enumerate(keys) if key.startswith("m:"))
    assert {B, held(), held(LANE + "b"), L, N, C, f"y:{P}:5", f"z:{P}:5", f"v:{P}"} <= set(keys[:first_mark])
    assert all(key.startswith("m:") for key in keys[first_mark:])
    assert keys.index(f"m:{P}:g1") < keys.index(f"m:{P}:k1")


@pytest.mark.parametrize("name", ["claim", "retry", "advance", "bury", "park", "release", "redrive",
                                  "expire"])
def test_a_delivery_joins_its_new_place_before_it_leaves_the_old_one(store, name):
    fill(store)
    now = NOW + 1000
    if name == "expire":  # what a claim does with those of others that are past their end
        now = TILL + 5
        lines = store.changes(lambda: store.claim(now=now, count=1))
    elif name == "redrive":
        dead = int(store.db.zrange(X, 0, 0, withscores=True)[0][1])
        lines = store.changes(lambda: store.call("dead_edit", "r", now, dead))
    else:
        lines = store.changes(lambda: store.call(name, *good_call(store, name)))
    words = [(line[0].upper(), line[1].decode()) for line in lines]
    joins = [i for i, (word, key) in enumerate(words) if word == b"ZADD" and key != L]
    leaves = [i for i, (word, key) in enumerate(words) if word == b"ZREM" and key != L]
    assert joins and leaves
    assert joins[0] < leaves[0]


def test_numbers_keep_all_their_digits(store):
    """Lua prints 14 digits; a claim has 16, and so has the identity of a dead letter."""
    late = 2**41 - 1_000_000  # the year 2039: later ones would not be whole numbers, and are refused
    for now in (NOW, late):
        ((verdict, seq, _, _, claim),) = store.commit(store.entry(f"e-{now}", now=now, key=b"k"))
        assert (verdict, seq) == (0, now * 4096)
        assert claim == (now + 90_000) * 1024 + ME
        assert store.db.hget(C, "s") == b"%d" % seq
        assert store.db.hget(f"m:{P}:k", "e") == b"%d" % (now + 300_000)
        assert store.call("bury", 0, LANE, ref(seq), claim, now, 1, "reason", "words") == [1]
        assert store.db.hget(C, "d") == b"%d" % (now * 64)
        assert store.call("dead_find", "-1", "+inf", 64, "", "", now, 0)[2] == now * 64
    with pytest.raises(redis.ResponseError):
        store.commit(store.entry("e-later", now=2**41))
    store.call("park", ME, LANE, late)
    assert store.db.hget(K, LANE) == b"%d" % late
    assert store.claim(now=NOW, lane=LANE + "none") == [0, -1]
    for key, value in store.dump().items():
        texts = [*value.keys(), *value.values()] if isinstance(value, dict) else [key]
        assert not any(re.fullmatch(rb"-?[0-9.]+e[+-]?[0-9]+", bytes(text)) for text in texts), key


@pytest.mark.parametrize("text", [
    "'; redis.call('FLUSHALL') --", "]] .. error('x') .. [[", "\r\n-ERR injected\r\n+OK", "%d%s%1",
    "\x00\xff"])
def test_text_of_a_tenant_is_never_part_of_a_script_or_an_error(store, text):
    """It travels as an argument: what it says is kept, and no error repeats it."""
    lane = ACCOUNT + "/" + text
    ((_, seq, _, _, claim),) = store.commit(store.entry(text, lanes=(lane,), body=text.encode()))
    assert bytes(store.claim(lane=lane, now=TILL + 1)[2][4]).endswith(text.encode())
    claim = (TILL + 1 + 90_000) * 1024 + ME
    assert store.call("bury", 0, lane, ref(seq), claim, NOW, 1, text, text) == [1]
    letter = bytes(store.call("dead_find", "-1", "+inf", 64, ACCOUNT, text, 0, 0)[3])
    assert letter.count(text.encode()) == 3
    for name in ("commit", "claim", "park"):
        with pytest.raises(redis.ResponseError) as caught:
            store.call(name, text, text, text, text, text, text)
        assert text not in str(caught.value)


def test_no_script_is_built_from_text():
    """Nor does any raise with words of its own: an error may name a line, and nothing else."""
    for path in LUA.glob("*.lua"):
        code = re.sub(r"--.*", "", path.read_text())
        assert not re.search(r"loadstring|error_reply|status_reply|redis\.log|\berror\(", code), path


def test_a_claim_is_bounded_by_count_and_by_bytes(store):
    for index in range(0, 200, 50):
        store.commit(*[store.entry(f"e-{index + i}", claim=0) for i in range(50)])
    reply = store.claim(count=1000)
    assert len(reply) - 2 == 64  # of one claimer
    assert reply[:2] == [1, NOW]
    assert len(store.claim(count=1000, claimer=ME + 1)) - 2 == 64
    big = LANE + "big"
    for i in range(5):
        store.commit(store.entry(f"b-{i}", claim=0, lanes=(big,), body=b"x" * (300 << 10)))
    reply = store.claim(lane=big)
    assert reply[0] == 1
    assert len(reply) - 2 == 3
    assert sum(len(row[4]) for row in reply[2:]) <= MIB
    assert len(store.claim(lane=big, bytes_max=1)) - 2 == 1  # one always


def test_claims_past_their_end_are_ended_a_bounded_number_at_a_time(store):
    for claimer in range(1, 5):  # 4 * 64 held
        for i in range(64):
            store.call("commit", claimer, 1, *store.entry(f"e-{claimer}-{i}", now=NOW))
    assert store.db.zcard(held()) == 256
    store.claim(now=TILL + 1, count=1)
    assert store.db.zcard(held()) == 256 - 128 + 1


def test_lanes_are_looked_at_a_page_at_a_time(store):
    lanes = [f"{ACCOUNT}/t{i:03}" for i in range(150)]
    store.commit(store.entry("e", claim=0, lanes=lanes))
    seen, score, behind, calls, more = [], 0, 0, 0, 1
    while more:
        more, score, behind, *names = store.call("lanes", NOW, score, behind, 64)
        assert len(names) <= 64
        seen += [name.decode() for name in names]
        calls += 1
    assert sorted(seen) == lanes
    assert calls == 3


def walk(store, what, count):
    """All pages of a tally, and how long each was."""
    rows, lengths, cursor = [], [], b"0"
    while not lengths or cursor != b"0":
        cursor, *page = store.call("tally", what, cursor, count)
        rows += page
        lengths.append(len(page))
    return rows, lengths


def test_a_tally_looks_at_accounts_and_lanes_a_page_at_a_time(store):
    """A partition may have thousands of both; none may be missed, and none of a page be torn."""
    accounts = [f"{111122220000 + i}" for i in range(300)]
    for account in accounts:  # large enough for Redis to keep a table of them, which it scans in parts
        store.db.hset(C, mapping={account + kind: i for i, kind in enumerate("cvperd", start=1)})
    store.db.zadd(L, {f"{account}/t{i}": i for account in accounts for i in range(3)})
    rows, lengths = walk(store, "c", 64)
    assert {row[0].decode() for row in rows} == set(accounts)
    assert all(row[1:] == [1, 2, 3, 4, 5, 6] for row in rows)
    assert max(lengths) < 200
    names, lengths = walk(store, "l", 64)
    assert len(set(names)) == 900
    assert max(lengths) < 200


def test_since_when_a_lane_is_owed_something(store):
    """Due is due, whether it waits or is held, and the time of a retry counts, not that of the commit."""
    for i in range(600):  # more than one look at what is held
        store.call("commit", 1 + i // 64, 1, *store.entry(f"e-{i}", now=NOW + i))
    store.commit(store.entry("waits", claim=0, now=NOW + 1000, lanes=(LANE + "w",)))
    assert store.db.zcard(held()) == 600
    assert store.call("dues", LANE, LANE + "w", LANE + "none") == [NOW, NOW + 1000, 0]
    late, score = store.db.zrange(held(), -1, -1, withscores=True)[0]
    assert store.call("retry", 0, LANE, late, int(score), NOW - 5, 1, 7) == [1]
    assert store.call("dues", LANE) == [NOW - 5]
    assert store.claim(claimer=900)[2][0] == late
    assert store.call("dues", LANE) == [NOW - 5]


def test_dead_letters_are_found_a_page_at_a_time(store):
    for i in range(10):
        ((_, seq, _, _, claim),) = store.commit(store.entry(f"e-{i}", now=NOW + i))
        store.call("bury", 0, LANE, ref(seq), claim, NOW + i, 1, "reason", "words")
    was_last, clock, *letters = store.call("dead_find", "-1", "+inf", 4, "", "", 0, 0)
    assert (was_last, clock, len(letters)) == (0, (NOW + 3) * 64, 12)
    assert letters[2] == len(record("e-0"))
    # What does not match counts as looked at.
    assert store.call("dead_find", clock, "+inf", 4, "", "other", 0, 0) == [0, (NOW + 7) * 64]
    assert store.call("dead_find", (NOW + 7) * 64, "+inf", 4, "", "", 0, 0)[0] == 1


def test_a_dead_letter_that_has_left_has_no_record_any_more(store):
    """Between the page and the record somebody may have sent it again; that is no damage."""
    for i in range(3):
        ((_, seq, _, _, claim),) = store.commit(store.entry(f"e-{i}", now=NOW + i))
        store.call("bury", 0, LANE, ref(seq), claim, NOW + i, 1, "reason", "words")
    first, second, third = (store.call("dead_find", "-1", "+inf", 4, "", "", 0, 0)[2::3])
    store.call("dead_edit", "r", NOW, second)
    store.db.hdel(B, ref(seq)[:8])
    assert store.call("dead_read", first, second, third) == [record("e-0"), 0, None]


def test_a_full_redis_refuses_what_is_new_and_drains_what_is_there(store):
    fill(store)
    calls = {name: good_call(store, name) for name in WRONG_KEYS}
    before = store.dump()
    store.server.config_set(maxmemory=1)
    for name in OF_PARTITION - DRAINING - READING:
        with pytest.raises(redis.ResponseError, match="used memory|OOM"):
            store.call(name, *calls[name])
    assert store.dump() == before
    for name in ("claim", "lanes", "park", "release", "dead_edit"):
        store.call(name, *calls[name])
    first, second = store.claim(now=NOW + 1001, count=2)[2:]
    assert store.call("retry", 0, LANE, first[0], first[1], NOW + 1001, 1, 7) == [1]
    assert store.call("bury", 0, LANE, second[0], second[1], NOW + 1002, 1, "reason", "words") == [1]
    for one in [*store.db.zrange(held(), 0, -1), *store.db.zrange(waiting(), 0, -1)]:
        assert store.call("settle", LANE, one) == 1


def test_scripts_use_only_keys_of_their_slot(server, store):
    """In a cluster a script may touch one slot: every key carries the tag of the one it is given."""
    with server.client() as watcher, watcher.monitor() as monitor:
        fill(store)
        calls = {name: good_call(store, name) for name in WRONG_KEYS}
        for name in WRONG_KEYS:
            store.call(name, *calls[name])
        for what in "cl":
            store.call("tally", what, 0, 64)
        store.call("dues", LANE)
        store.call("dead_find", "-1", "+inf", 4, "", "", 0, 0)
        store.call("dead_read", NOW * 64)
        store.db.ping()
        touched = set()
        for line in monitor.listen():
            if line["command"].startswith("PING"):
                break
            if line["client_type"] == "lua":
                word, *rest = line["command"].split(" ")
                if word.upper() != "TIME":
                    touched.add(rest[0])
    assert len(touched) > 10
    assert all(P in key for key in touched), touched


def test_a_claimer_belongs_to_one_replica_that_is_alive(store):
    def beat(member, begins, life=5000):
        return store.call("beat", member, life, begins, keys=("g:replicas",))

    assert beat("7:one", 1) == 1
    assert beat("7:one", 1) == 1  # itself, whose answer was lost
    assert beat("7:two", 1) == 0
    assert beat("77:two", 1) == 2  # another number that begins like it
    assert beat("7:one", 0) == 2
    store.db.zadd("g:replicas", {"7:one": 1})  # it fell silent long ago
    assert beat("7:two", 1) == 2
    assert beat("7:one", 0) == 3  # and is there again: it goes on to count
    assert beat("7:one", 0, life=0) == 2


def test_a_page_of_the_catalog_is_bounded(store):
    keys = ["{catalog}:d", "{catalog}:r", "{catalog}:v"]
    documents = [word for i in range(9) for word in (f"rule/{i}", 0, b"h" * 40 + b"v" * 1000)]
    assert store.call("catalog_put", 1, 0, *documents, keys=keys) == [1, 0, 1]
    rev, more, *page = store.call("catalog_read", 0, "", 4, MIB, keys=keys)
    assert (rev, more, len(page)) == (1, 1, 12)
    rev, more, *page = store.call("catalog_read", 1, page[-3], 100, 2100, keys=keys)
    assert (more, len(page)) == (1, 6)
    before = store.dump()
    for bad in ([1, 0, "rule/0", 0, b"h" * 41], [2, 0, "rule/0", 0, b"h" * 41],
                [2, 0, "rule/new", 0, b"h" * 41, "rule/new", 0, b"h" * 41],
                [7, 0, "rule/9", 0, b"h" * 41], [2, 7, "rule/9", 0, b"h" * 41]):
        assert store.call("catalog_put", *bad, keys=keys)[0] != 1
        assert store.dump() == before
    assert store.call("catalog_put", 7, 7, "rule/9", 0, b"h" * 41, keys=keys) == [1, 0, 7]
    assert store.call("catalog_put", 8, 3, "rule/10", 0, b"h" * 41, keys=keys) == [1, 0, 8]
