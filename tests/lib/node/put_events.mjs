// SPDX-License-Identifier: Apache-2.0
//
// The JavaScript SDK as a client of weir: each stdin line is one PutEvents input, or
// `{"command": "PutRule", "input"}` for any other action; each stdout line its outcome, `{"line", "ok": true, "output"}` or `{"line", "ok": false, "error"}`, in order of
// completion.  Nothing is retried, so that one line is one request.
//
//   put_events.mjs ENDPOINT REGION h1|h2 [CONCURRENCY]        keys from the environment
import { createInterface } from 'node:readline';
import * as eventbridge from '@aws-sdk/client-eventbridge';
import { NodeHttp2Handler, NodeHttpHandler } from '@smithy/node-http-handler';

const [endpoint, region, protocol, concurrency = '1'] = process.argv.slice(2);
const options = { requestTimeout: 15000 };
const client = new eventbridge.EventBridgeClient({
  endpoint,
  region,
  maxAttempts: 1,
  requestHandler: protocol === 'h2' ? new NodeHttp2Handler(options) : new NodeHttpHandler(options),
});

function withTimes(input) {
  for (const entry of input.Entries ?? []) {
    if (typeof entry.Time === 'number') {
      entry.Time = new Date(entry.Time * 1000);
    }
  }
  return input;
}

// The SDK forgets a request whose HTTP/2 session ends at the wrong moment: then nothing would be left
// to wait for, and the process would end without a word.
function within(ms, answer) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error('no answer'), { name: 'TimeoutError' })), ms);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}

async function put(line, text) {
  let outcome;
  try {
    const { command = 'PutEvents', input, ...entries } = JSON.parse(text);
    const Command = eventbridge[`${command}Command`];
    const { $metadata, ...output } = await within(
      20000, client.send(new Command(input ?? withTimes(entries))));
    outcome = { line, ok: true, status: $metadata.httpStatusCode, output };
  } catch (error) {
    const status = error.$metadata?.httpStatusCode ?? null;
    outcome = { line, ok: false, status, error: { code: error.name, message: error.message } };
  }
  process.stdout.write(JSON.stringify(outcome) + '\n');
}

const running = new Set();
let count = 0;
for await (const text of createInterface({ input: process.stdin })) {
  if (text.trim() === '') {
    continue;
  }
  const one = put(count++, text).finally(() => running.delete(one));
  running.add(one);
  if (running.size >= Number(concurrency)) {
    await Promise.race(running);
  }
}
await Promise.all(running);
client.destroy();
