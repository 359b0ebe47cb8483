# SPDX-License-Identifier: Apache-2.0
"""STS and SQS as the stand-in plays them: what they accept, refuse and answer.

No sockets here.  Each service takes one verified, parsed request and returns its answer as a dict
or raises Refusal; the wire forms (JSON 1.0, query and XML) are in aws_wire.py.  Whatever is
accepted is handed to `record`, which writes it down before the answer leaves.
"""

import collections
import hashlib
import re
import secrets
import struct
import time
import uuid

from aws_signature import Identity, Refusal

BODY_MAX_BYTES = 1024 * 1024
BATCH_MAX_ENTRIES = 10
DEDUP_WINDOW_S = 300
KEPT_MAX_MESSAGES = 20000
SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::(\d{12}):role/([\w+=,.@/-]+)", re.ASCII)
QUEUE_ARN = re.compile(r"arn:aws[\w-]*:sqs:([a-z0-9-]+):(\d{12}):([A-Za-z0-9_-]{1,80}(?:\.fifo)?)")
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Sts:
    """AssumeRole against a trust table, and GetCallerIdentity."""

    SERVICE = "sts"

    def __init__(self, record):
        self._record = record
        self.identities = {}
        self.trust = {}
        self.caller_tags = {}
        self.lifetime_max_s = None

    def add_caller(self, access_key, secret, account, name="weir", tags=None, principal=None,
                   token=None):
        """A key that may sign; its policy lets it pass session `tags` (None for any)."""
        self.caller_tags[access_key] = tags
        self.identities[access_key] = Identity(
            access_key, secret, account, principal or f"arn:aws:iam::{account}:user/{name}", token)

    def add_role(self, arn, external_id=None, callers=None, tags=None):
        """Trust `callers` (principal ARNs, None for all) that show `external_id` (None for any) and
        pass no session tags but `tags` (keys, None for any)."""
        if not ROLE_ARN.fullmatch(arn):
            raise ValueError(f"{arn} is not a role ARN")
        self.trust[arn] = {"external_id": external_id, "callers": callers, "tags": tags}

    def call(self, action, params, identity, _region):
        if action == "AssumeRole":
            return self._assume(params, identity)
        if action == "GetCallerIdentity":
            return {"Arn": identity.principal, "UserId": identity.access_key,
                    "Account": identity.account}
        raise Refusal("InvalidAction", f"The action {action} is not valid for this endpoint.", 400)

    def _assume(self, params, caller):
        arn, session, duration_s = self._checked(params)
        external_id = params.get("ExternalId")
        tags = {tag.get("Key"): tag.get("Value") for tag in params.get("Tags", [])}
        trust = self.trust.get(arn)
        allowed = (
            trust is not None
            and trust["external_id"] in (None, external_id)
            and (trust["callers"] is None or caller.principal in trust["callers"])
        )
        # Passing tags is an action of its own: the role's trust and the caller's policy grant it.
        may_tag = allowed and all(
            granted is None or tags.keys() <= set(granted)
            for granted in (trust["tags"], self.caller_tags.get(caller.access_key)))
        action = "TagSession" if allowed and not may_tag else "AssumeRole"
        allowed = allowed and may_tag
        told = {"kind": "assume_role", "allowed": allowed, "role": arn, "session": session,
                "external_id": external_id, "tags": tags, "duration_s": duration_s,
                "policy": params.get("Policy"), "source_identity": params.get("SourceIdentity"),
                "caller": caller.principal, "caller_key": caller.access_key}
        if not allowed:
            self._record(told)
            raise Refusal("AccessDenied", f"User: {caller.principal} is not authorized to perform: "
                          f"sts:{action} on resource: {arn}", 403)
        identity = self.issue(arn, session, tags, params.get("SourceIdentity"), duration_s)
        self._record({**told, "access_key": identity.access_key, "expires": identity.expires})
        return self.answer(identity, arn, session)

    @staticmethod
    def _checked(params):
        arn = params.get("RoleArn", "")
        session = params.get("RoleSessionName", "")
        duration = params.get("DurationSeconds", "3600")
        external_id = params.get("ExternalId")
        if not ROLE_ARN.fullmatch(arn):
            raise Refusal("ValidationError", f"{arn} is invalid", 400)
        if not SESSION_NAME.fullmatch(session):
            raise Refusal("ValidationError", "1 validation error detected: Value at "
                          "'roleSessionName' failed to satisfy constraint", 400)
        if not duration.isdigit() or not 900 <= int(duration) <= 43200:
            raise Refusal("ValidationError", "1 validation error detected: Value at "
                          "'durationSeconds' failed to satisfy constraint", 400)
        if external_id is not None and not EXTERNAL_ID.fullmatch(external_id):
            raise Refusal("ValidationError", "1 validation error detected: Value at "
                          "'externalId' failed to satisfy constraint", 400)
        return arn, session, int(duration)

    def issue(self, arn, session, tags=None, source_identity=None, duration_s=3600):
        """A session of a role, whatever its trust says."""
        account, name = ROLE_ARN.fullmatch(arn).groups()
        lifetime_s = min(duration_s, self.lifetime_max_s or duration_s)
        identity = Identity(
            access_key="ASIA" + secrets.token_hex(8).upper(),
            secret=secrets.token_urlsafe(30),
            account=account,
            principal=f"arn:aws:sts::{account}:assumed-role/{name.split('/')[-1]}/{session}",
            token=secrets.token_urlsafe(120),
            role=arn, session=session, tags=tags or {}, source_identity=source_identity,
            expires=int(time.time()) + lifetime_s,
        )
        self.identities[identity.access_key] = identity
        return identity

    @staticmethod
    def answer(identity, arn, session):
        digest = hashlib.sha256(arn.encode()).hexdigest()[:16].upper()
        answer = {
            "AssumedRoleUser": {"AssumedRoleId": f"AROA{digest}:{session}",
                                "Arn": identity.principal},
            "Credentials": {
                "AccessKeyId": identity.access_key,
                "SecretAccessKey": identity.secret,
                "SessionToken": identity.token,
                "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(identity.expires)),
            },
            "PackedPolicySize": "6",
        }
        if identity.source_identity:
            answer["SourceIdentity"] = identity.source_identity
        return answer


class Queue:
    """One queue: what it holds for receivers, and what it has seen for deduplication."""

    def __init__(self, arn, content_dedup=False):
        match = QUEUE_ARN.fullmatch(arn)
        if match is None:
            raise ValueError(f"{arn} is not a queue ARN")
        self.arn = arn
        self.region, self.account, self.name = match.groups()
        self.fifo = self.name.endswith(".fifo")
        self.content_dedup = content_dedup
        self.messages = collections.OrderedDict()
        self.seen = {}
        self.accepted = 0

    def keep(self, message):
        self.messages[message["MessageId"]] = message
        if len(self.messages) > KEPT_MAX_MESSAGES:
            self.messages.popitem(last=False)

    def receive(self, count, visibility_s, now_s):
        taken = []
        for message in self.messages.values():
            if len(taken) == count:
                break
            if message["visible_at"] <= now_s:
                message["visible_at"] = now_s + visibility_s
                message["receives"] += 1
                message["handle"] = secrets.token_urlsafe(24)
                taken.append(message)
        return taken

    def delete(self, handle):
        for message_id, message in self.messages.items():
            if message["handle"] == handle:
                del self.messages[message_id]
                return


def md5_of_attributes(attributes):
    """SQS's digest over message attributes, sorted by name."""
    digest = hashlib.md5()
    for name in sorted(attributes):
        value = attributes[name]
        kind = value["DataType"]
        binary = kind.startswith("Binary")
        content = value["BinaryValue" if binary else "StringValue"]
        content = content.encode() if isinstance(content, str) else content
        for part in (name.encode(), kind.encode()):
            digest.update(struct.pack(">I", len(part)) + part)
        digest.update(b"\x02" if binary else b"\x01")
        digest.update(struct.pack(">I", len(content)) + content)
    return digest.hexdigest()


class Sqs:
    """Queues that accept, deduplicate and hand out messages."""

    SERVICE = "sqs"

    def __init__(self, record, base_url):
        self._record = record
        self._base_url = base_url
        self.queues = {}
        self.sequence = 18849496460467696128

    def add_queue(self, arn, content_dedup=False):
        queue = Queue(arn, content_dedup)
        self.queues[(queue.region, queue.account, queue.name)] = queue
        return queue

    def remove_queue(self, arn):
        self.queues = {key: queue for key, queue in self.queues.items() if queue.arn != arn}

    def url(self, queue):
        return f"{self._base_url()}/{queue.account}/{queue.name}"

    def find(self, params, identity, region):
        """The queue that a request names by URL or by name, or Refusal."""
        if "QueueUrl" in params:
            key = (region, *str(params["QueueUrl"]).rstrip("/").split("/")[-2:])
        else:
            key = (region, params.get("QueueOwnerAWSAccountId", identity.account),
                   params.get("QueueName"))
        queue = self.queues.get(key)
        if queue is None:
            raise Refusal("com.amazonaws.sqs#QueueDoesNotExist",
                          "The specified queue does not exist.", 400,
                          query_code="AWS.SimpleQueueService.NonExistentQueue")
        return queue

    def call(self, action, params, identity, region, partial=None):
        """Answer one action; `partial` names the batch positions that fail (fault injection)."""
        if action == "CreateQueue":
            return self._create(params, identity, region)
        if action == "ListQueues":
            urls = [self.url(q) for q in self.queues.values() if q.account == identity.account]
            return {"QueueUrls": urls}
        queue = self.find(params, identity, region)
        if action == "GetQueueUrl":
            return {"QueueUrl": self.url(queue)}
        if action == "SendMessage":
            self._authorise(queue, identity)
            return self._send(queue, params, identity, uuid.uuid4().hex)
        if action == "SendMessageBatch":
            self._authorise(queue, identity)
            return self._send_batch(queue, params, identity, partial or {})
        return self._consume(action, queue, params)

    @staticmethod
    def _authorise(queue, identity):
        # A role is judged by the log; a bare key may only use queues of its own account.
        if identity.role is None and identity.account != queue.account:
            raise Refusal("AccessDeniedException", f"User: {identity.principal} is not authorized "
                          f"to perform: sqs:sendmessage on resource: {queue.arn}", 403,
                          query_code="AccessDenied")

    def _create(self, params, identity, region):
        name = params.get("QueueName", "")
        fifo = str(params.get("Attributes", {}).get("FifoQueue", "false")).lower() == "true"
        if fifo != name.endswith(".fifo"):
            raise Refusal("InvalidParameterValue", "The name of a FIFO queue can only include "
                          "alphanumeric characters, hyphens, or underscores, must end with .fifo "
                          "suffix and be 1 to 80 in length.", 400)
        key = (region, identity.account, name)
        if key not in self.queues:
            content = params.get("Attributes", {}).get("ContentBasedDeduplication", "false")
            try:
                self.add_queue(f"arn:aws:sqs:{region}:{identity.account}:{name}",
                               str(content).lower() == "true")
            except ValueError:
                raise Refusal("InvalidParameterValue", "Can only include alphanumeric characters, "
                              "hyphens, or underscores. 1 to 80 in length", 400) from None
        return {"QueueUrl": self.url(self.queues[key])}

    def _consume(self, action, queue, params):
        if action == "ReceiveMessage":
            taken = queue.receive(int(params.get("MaxNumberOfMessages", 1)),
                                  int(params.get("VisibilityTimeout", 30)), time.time())
            return {"Messages": [self._shown(message) for message in taken]} if taken else {}
        if action == "DeleteMessage":
            queue.delete(params.get("ReceiptHandle"))
            return {}
        if action == "PurgeQueue":
            queue.messages.clear()
            return {}
        if action == "GetQueueAttributes":
            return {"Attributes": {"QueueArn": queue.arn,
                                   "ApproximateNumberOfMessages": str(len(queue.messages))}}
        raise Refusal("InvalidAction", f"The action {action} is not valid for this endpoint.", 400)

    @staticmethod
    def _shown(message):
        shown = {key: message[key] for key in ("MessageId", "Body", "MD5OfBody")}
        shown["ReceiptHandle"] = message["handle"]
        shown["Attributes"] = {**message["attributes"],
                               "ApproximateReceiveCount": str(message["receives"])}
        if message["MessageAttributes"]:
            shown["MessageAttributes"] = message["MessageAttributes"]
        return shown

    def _send(self, queue, entry, identity, request_id):
        body = entry.get("MessageBody")
        self._check_entry(queue, entry, body)
        attributes = entry.get("MessageAttributes") or {}
        digest = hashlib.md5(body.encode()).hexdigest()
        answer = {"MessageId": str(uuid.uuid4()), "MD5OfMessageBody": digest}
        if attributes:
            answer["MD5OfMessageAttributes"] = md5_of_attributes(attributes)
        dedup, duplicate = None, False
        if queue.fifo:
            dedup = entry.get("MessageDeduplicationId") or hashlib.sha256(body.encode()).hexdigest()
            duplicate = self._deduplicate(queue, dedup, answer)
        queue.accepted += 0 if duplicate else 1
        self._record({
            "kind": "message", "queue": queue.arn, "message_id": answer["MessageId"],
            "body": body, "md5": digest, "attributes": attributes,
            "group": entry.get("MessageGroupId"), "dedup": dedup, "duplicate": duplicate,
            "request": request_id, **identity.record()})
        if not duplicate:
            self._keep(queue, entry, answer, body, identity)
        return answer

    @staticmethod
    def _check_entry(queue, entry, body):
        if not isinstance(body, str) or not body:
            raise Refusal("MissingParameter", "The request must contain the parameter MessageBody.",
                          400)
        if len(body.encode()) > BODY_MAX_BYTES:
            raise Refusal("InvalidParameterValue", "One or more parameters are invalid. Reason: "
                          f"Message must be shorter than {BODY_MAX_BYTES} bytes.", 400)
        if NOT_XML.search(body):
            raise Refusal("com.amazonaws.sqs#InvalidMessageContents",
                          "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD "
                          "| #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF", 400,
                          query_code="InvalidMessageContents")
        if queue.fifo and not entry.get("MessageGroupId"):
            raise Refusal("MissingParameter",
                          "The request must contain the parameter MessageGroupId.", 400)
        if queue.fifo and not entry.get("MessageDeduplicationId") and not queue.content_dedup:
            raise Refusal("InvalidParameterValue", "The queue should either have "
                          "ContentBasedDeduplication enabled or MessageDeduplicationId provided "
                          "explicitly", 400)
        if not queue.fifo and entry.get("MessageDeduplicationId"):
            raise Refusal("InvalidParameterValue", "The request include parameter that is not "
                          "valid for this queue type: MessageDeduplicationId", 400)

    def _deduplicate(self, queue, dedup, answer):
        now_s = time.time()
        known = queue.seen.get(dedup)
        if known is not None and now_s - known[2] < DEDUP_WINDOW_S:
            answer["MessageId"], answer["SequenceNumber"] = known[:2]
            return True
        self.sequence += 256
        answer["SequenceNumber"] = str(self.sequence)
        queue.seen[dedup] = (answer["MessageId"], answer["SequenceNumber"], now_s)
        return False

    @staticmethod
    def _keep(queue, entry, answer, body, identity):
        now_s = time.time()
        attributes = {"SenderId": identity.access_key, "SentTimestamp": str(int(now_s * 1000))}
        for name in ("MessageGroupId", "MessageDeduplicationId"):
            if entry.get(name):
                attributes[name] = entry[name]
        queue.keep({
            "MessageId": answer["MessageId"], "Body": body, "handle": None, "receives": 0,
            "MD5OfBody": answer["MD5OfMessageBody"], "attributes": attributes,
            "MessageAttributes": entry.get("MessageAttributes") or {},
            "visible_at": now_s + int(entry.get("DelaySeconds") or 0)})

    def _send_batch(self, queue, params, identity, partial):
        entries = params.get("Entries") or []
        self._check_batch(entries)
        request_id = uuid.uuid4().hex
        answer = {"Successful": [], "Failed": []}
        for position, entry in enumerate(entries):
            try:
                if position in partial:
                    raise partial[position]
                sent = self._send(queue, entry, identity, request_id)
                answer["Successful"].append({"Id": entry["Id"], **sent})
            except Refusal as refusal:
                answer["Failed"].append({
                    "Id": entry["Id"], "SenderFault": refusal.sender,
                    "Code": refusal.query_code, "Message": refusal.message})
        return answer

    @staticmethod
    def _check_batch(entries):
        def refuse(name, message):
            raise Refusal(f"com.amazonaws.sqs#{name}", message, 400,
                          query_code=f"AWS.SimpleQueueService.{name}")

        ids = [entry.get("Id") for entry in entries]
        if not entries:
            refuse("EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry "
                   "in the request.")
        if len(entries) > BATCH_MAX_ENTRIES:
            refuse("TooManyEntriesInBatchRequest", "Maximum number of entries per request are "
                   f"{BATCH_MAX_ENTRIES}. You have sent {len(entries)}.")
        if len(set(ids)) != len(ids):
            refuse("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the "
                   "same Id.")
        if not all(isinstance(i, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,80}", i) for i in ids):
            refuse("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric "
                   "characters, hyphens and underscores.")
        size = sum(len((entry.get("MessageBody") or "").encode()) for entry in entries)
        if size > BODY_MAX_BYTES:
            refuse("BatchRequestTooLong", "Batch requests cannot be longer than "
                   f"{BODY_MAX_BYTES} bytes.")
