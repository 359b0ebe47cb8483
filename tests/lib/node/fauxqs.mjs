// SPDX-License-Identifier: Apache-2.0
//
// Start the queue service on a free port of 127.0.0.1, print `{"port"}`, and serve until stdin
// closes, so that it never outlives the test that started it.
import { buildApp } from 'fauxqs';

const app = await buildApp({ logger: false });
await app.listen({ host: '127.0.0.1', port: Number(process.argv[2] ?? 0) });
process.stdout.write(JSON.stringify({ port: app.server.address().port }) + '\n');
process.stdin.resume();
process.stdin.on('end', async () => {
  await app.close();
  process.exit(0);
});
