# SPDX-License-Identifier: Apache-2.0
"""The services that weir delivers to beside SQS, as the stand-in plays them.

Each takes a call that aws_models.py has read and judged by the service's own model, and does what
only the service knows: does the resource exist, is this a repetition, which entry of a batch is
refused.  What is accepted is written down as one line per message, execution or call:

  {"kind": "call", "service", "action", "resource", "body", "params", "duplicate", "request",
   "role", "session", "session_tags", "access_key", "account", ...}

`service` is the name that signed, `resource` the ARN that was meant, `body` the text that the
target gets.  A call of a service without a class here is judged by its model alone, answered as
`answers` say ({"SERVICE:ACTION": {...}}), else with nothing in it.
"""

import hashlib
import json
import time
import uuid

from aws_models import service_of
from aws_signature import Refusal

LAMBDA_ASYNC_MAX_BYTES = 1 << 20
SNS_MAX_BYTES = 262144
EVENTS_MAX_BYTES = 262144


def arn_parts(arn):
    """(service, region, account, resource) of an ARN; Refusal if it is none."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        raise Refusal("ValidationException", f"{arn} is not an ARN", 400)
    return parts[2], parts[3], parts[4], parts[5]


class Call:
    """One verified call on its way through a service."""

    def __init__(self, model_call, identity, region, partial):
        self.service, self.action = model_call.service, model_call.action
        self.params = model_call.params
        self.identity, self.region = identity, region
        self.partial = partial or {}
        self.request_id = uuid.uuid4().hex


class Targets:
    """All of them: one set of resources, one record."""

    def __init__(self, record):
        self._record = record
        self.resources = set()
        self.answers = {}
        self.executions_end = False
        self.seen = {}
        self.sequence = 10000000000000000000

    def add_resource(self, arn):
        service, region, account, _ = arn_parts(arn)
        if service_of(service) is None or not account.isdigit() or not region:
            raise ValueError(f"{arn} is not the ARN of a resource to deliver to")
        self.resources.add(arn)

    @classmethod
    def resource_of(cls, call, identity, region):
        """The ARN that a call is for, or None: what a fault may be aimed at."""
        params = call.params
        if call.action == "StartAutomationExecution":
            return cls._document(params["DocumentName"], identity, region)
        for name in ("FunctionName", "stateMachineArn", "TopicArn"):
            if isinstance(params.get(name), str):
                return params[name]
        entries = params.get("Entries")
        if entries and isinstance(entries[0], dict):
            return entries[0].get("EventBusName")
        return None

    def serve(self, model_call, identity, region, partial=None):
        """Carry out one call and return its answer; Refusal if it cannot be."""
        call = Call(model_call, identity, region, partial)
        known = {
            ("lambda", "Invoke"): self._invoke,
            ("states", "StartExecution"): self._start_execution,
            ("ssm", "StartAutomationExecution"): self._start_automation,
            ("sns", "Publish"): self._publish,
            ("sns", "PublishBatch"): self._publish_batch,
            ("events", "PutEvents"): self._put_events,
        }.get((call.service, call.action), self._other)
        return known(call)

    def _write(self, call, resource, body, duplicate=False, **more):
        self._record({
            "kind": "call", "service": call.service, "action": call.action, "resource": resource,
            "body": body, "duplicate": duplicate, "request": call.request_id,
            "region": call.region, **more, **call.identity.record()})

    def _must_exist(self, call, arn, code, query_code=None, status=400):
        if arn not in self.resources:
            raise Refusal(code, f"{arn} does not exist", status, query_code=query_code)
        if arn_parts(arn)[1] != call.region:
            raise Refusal(code, f"{arn} is not in {call.region}", status, query_code=query_code)

    def _repeats(self, key, content):
        """None if `key` is new, else (first answer, was the content the same)."""
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        known = self.seen.get(key)
        if known is None:
            self.seen[key] = (str(uuid.uuid4()), digest, time.time())
            return None
        return known[0], known[1] == digest

    # -- Lambda ------------------------------------------------------------------------------

    def _invoke(self, call):
        arn, qualifier = call.params["FunctionName"], call.params.get("Qualifier")
        self._must_exist(call, arn, "ResourceNotFoundException", status=404)
        payload = call.params.get("Payload", b"")
        is_async = call.params.get("InvocationType") == "Event"
        if is_async and len(payload) > LAMBDA_ASYNC_MAX_BYTES:
            raise Refusal("RequestTooLargeException", f"{len(payload)} byte payload is too large "
                          "for the Event invocation type", 413)
        try:
            text = payload.decode()
            json.loads(text or "null")
        except ValueError:
            raise Refusal("InvalidRequestContentException",
                          "Could not parse request body into json", 400) from None
        self._write(call, arn, text, qualifier=qualifier, asynchronous=is_async)
        if is_async:
            return {"_status": 202, "StatusCode": 202}
        told = self.answers.get("lambda:Invoke", {})
        return {"_status": 200, "StatusCode": 200, **told,
                "Payload": told.get("Payload", "null").encode()}

    # -- Step Functions ----------------------------------------------------------------------

    def _start_execution(self, call):
        """A machine whose name ends in Express starts as often as it is told to."""
        machine, text = call.params["stateMachineArn"], call.params.get("input", "{}")
        name = call.params.get("name") or str(uuid.uuid4())
        bare = ":".join(machine.split(":")[:7])
        self._must_exist(call, bare, "StateMachineDoesNotExist")
        try:
            json.loads(text)
        except ValueError:
            raise Refusal("InvalidExecutionInput", "Invalid State Machine Execution Input",
                          400) from None
        duplicate = False
        if not bare.endswith("Express"):
            known = self._repeats(("states", bare, name), text)
            duplicate = known is not None
            if duplicate and (self.executions_end or not known[1]):
                self._write(call, machine, text, True, name=name)
                raise Refusal("ExecutionAlreadyExists",
                              f"Execution Already Exists: '{name}'", 400)
        self._write(call, machine, text, duplicate, name=name)
        kind = "express" if bare.endswith("Express") else "execution"
        return {"executionArn": f"{bare.replace('stateMachine', kind)}:{name}",
                "startDate": round(time.time(), 3)}

    # -- Systems Manager ---------------------------------------------------------------------

    @staticmethod
    def _document(name, identity, region):
        """A document is named: one of the signer's account, of AWS, or, by its ARN, a shared one."""
        if name.startswith("arn:"):
            return name
        owner = "" if name.startswith("AWS-") else identity.account
        return f"arn:aws:ssm:{region}:{owner}:document/{name}"

    def _start_automation(self, call):
        name, version = call.params["DocumentName"], call.params.get("DocumentVersion")
        arn = self._document(name, call.identity, call.region)
        if not name.startswith("AWS-"):
            self._must_exist(call, arn, "AutomationDefinitionNotFoundException")
        token, duplicate = call.params.get("ClientToken"), False
        answer = str(uuid.uuid4())
        if token:
            rest = {key: value for key, value in call.params.items() if key != "ClientToken"}
            known = self._repeats(("ssm", call.identity.account, token), rest)
            duplicate = known is not None
            if duplicate and not known[1]:
                self._write(call, arn, None, True, params=call.params)
                raise Refusal("IdempotentParameterMismatch", "Error returned when an idempotent "
                              "operation is retried and the parameters don't match", 400)
            answer = known[0] if known else self.seen[("ssm", call.identity.account, token)][0]
        self._write(call, arn, json.dumps(call.params.get("Parameters", {})), duplicate,
                    params=call.params, version=version)
        return {"AutomationExecutionId": answer}

    # -- SNS ---------------------------------------------------------------------------------

    def _publish(self, call):
        return self._publish_one(call, call.params.get("TopicArn"), call.params)

    def _publish_one(self, call, arn, message):
        self._must_exist(call, arn, "NotFoundException", "NotFound", 404)
        body, fifo = message["Message"], arn.endswith(".fifo")
        self._check_message(body, message, fifo)
        answer, dedup, duplicate = {"MessageId": str(uuid.uuid4())}, None, False
        if fifo:
            dedup = message.get("MessageDeduplicationId")
            known = self._repeats(("sns", arn, dedup), None)
            duplicate = known is not None
            self.sequence += 1
            answer = {"MessageId": known[0] if known else self.seen[("sns", arn, dedup)][0],
                      "SequenceNumber": str(self.sequence)}
        self._write(call, arn, body, duplicate, group=message.get("MessageGroupId"), dedup=dedup,
                    subject=message.get("Subject"), message_id=answer["MessageId"])
        return answer

    @staticmethod
    def _check_message(body, message, fifo):
        def refuse(what):
            raise Refusal("InvalidParameterException", f"Invalid parameter: {what}", 400,
                          query_code="InvalidParameter")

        if not body:
            refuse("Empty message")
        if len(body.encode()) > SNS_MAX_BYTES:
            refuse("Message too long")
        if fifo and not message.get("MessageGroupId"):
            refuse("The MessageGroupId parameter is required for FIFO topics")
        if fifo and not message.get("MessageDeduplicationId"):
            refuse("The topic should either have ContentBasedDeduplication enabled or "
                   "MessageDeduplicationId provided explicitly")
        if not fifo and message.get("MessageDeduplicationId"):
            refuse("MessageDeduplicationId: the request includes a parameter that is not valid "
                   "for this topic type")

    def _publish_batch(self, call):
        arn, entries = call.params["TopicArn"], call.params["PublishBatchRequestEntries"]
        self._must_exist(call, arn, "NotFoundException", "NotFound", 404)
        ids = [entry["Id"] for entry in entries]
        if not entries or len(entries) > 10:
            name = "TooManyEntriesInBatchRequest" if entries else "EmptyBatchRequest"
            raise Refusal(f"{name}Exception", f"{len(entries)} entries", 400, query_code=name)
        if len(set(ids)) != len(ids):
            raise Refusal("BatchEntryIdsNotDistinctException", "ids repeat", 400,
                          query_code="BatchEntryIdsNotDistinct")
        if sum(len(entry["Message"].encode()) for entry in entries) > SNS_MAX_BYTES:
            raise Refusal("BatchRequestTooLongException", "the batch is too long", 400,
                          query_code="BatchRequestTooLong")
        answer = {"Successful": [], "Failed": []}
        for position, entry in enumerate(entries):
            try:
                if position in call.partial:
                    raise call.partial[position]
                answer["Successful"].append(
                    {"Id": entry["Id"], **self._publish_one(call, arn, entry)})
            except Refusal as refusal:
                answer["Failed"].append({
                    "Id": entry["Id"], "Code": refusal.query_code, "Message": refusal.message,
                    "SenderFault": refusal.sender})
        return answer

    # -- EventBridge -------------------------------------------------------------------------

    def _put_events(self, call):
        entries = call.params["Entries"]
        if sum(map(self._entry_bytes, entries)) > EVENTS_MAX_BYTES:
            raise Refusal("ValidationException",
                          "Total size of the entries in the request is over the limit.", 400)
        told = []
        for position, entry in enumerate(entries):
            try:
                if position in call.partial:
                    raise call.partial[position]
                told.append({"EventId": self._put_one(call, entry)})
            except Refusal as refusal:
                told.append({"ErrorCode": refusal.code, "ErrorMessage": refusal.message})
        return {"FailedEntryCount": sum("ErrorCode" in one for one in told), "Entries": told}

    @staticmethod
    def _entry_bytes(entry):
        texts = [entry.get("Source", ""), entry.get("DetailType", ""), entry.get("Detail", ""),
                 *entry.get("Resources", [])]
        return (14 if "Time" in entry else 0) + sum(len(text.encode()) for text in texts)

    def _put_one(self, call, entry):
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                raise Refusal("InvalidArgument", f"Parameter {name} is not valid. Reason: {name} "
                              "is a required argument.")
        try:
            is_object = isinstance(json.loads(entry["Detail"]), dict)
        except ValueError:
            is_object = False
        if not is_object:
            raise Refusal("MalformedDetail", "Detail is malformed.")
        if entry["Source"].startswith("aws."):
            raise Refusal("NotAuthorizedForSourceException", "Not authorized for the source.")
        event_id = str(uuid.uuid4())
        bus = entry.get("EventBusName", "default")
        if bus in self.resources:  # an unknown bus answers as if it took the event
            self._write(call, bus, entry["Detail"], event_id=event_id, params=entry)
        return event_id

    # -- HTTPS endpoints -----------------------------------------------------------------------

    @staticmethod
    def hook_arn(name):
        """Of the API destination that leads to /hook/NAME."""
        return f"arn:aws:events:us-east-1:999999999999:api-destination/{name}"

    def serve_hook(self, arn, text):
        if arn not in self.resources:
            raise Refusal("NotFound", "there is no such hook", 404)
        self._record({"kind": "call", "service": "https", "action": "POST", "resource": arn,
                      "body": text, "duplicate": False, "request": uuid.uuid4().hex,
                      "region": None, "role": None, "session": None, "session_tags": {},
                      "access_key": None, "account": None, "principal": None})

    # -- all others --------------------------------------------------------------------------

    def _other(self, call):
        def plain(value):
            if isinstance(value, bytes):
                return value.decode("utf-8", "replace")
            if isinstance(value, dict):
                return {key: plain(item) for key, item in value.items()}
            return [plain(item) for item in value] if isinstance(value, list) else value

        self._write(call, None, None, params=plain(call.params))
        return dict(self.answers.get(f"{call.service}:{call.action}", {}))
