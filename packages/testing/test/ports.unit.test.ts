import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { freePort } from '../src/index.ts';

const CLAIM = `
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('error', () => process.exit(3));
  socket.bind({ port: Number(process.argv[1]), address: '127.0.0.1' }, () => process.exit(0));
`;

test('a free port is given to one process only, before anybody listens there too', async () => {
  const ports = [await freePort(), await freePort(10_000)];
  for (const port of [ports[0] ?? 0, ports[1] ?? 0, (ports[1] ?? 0) + 10_000]) {
    expect(spawnSync(process.execPath, ['-e', CLAIM, String(port)]).status).toBe(3);
  }
});
