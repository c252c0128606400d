import { expect, test } from 'vitest';
import { misspelt } from '../src/index.ts';

const KNOWN = ['new-message', 'message-updated', 'group-created', 'ack', 'pong', 'presence'];

test.each([
  ['new-mesage', 'new-message'],
  ['new_message', 'new-message'],
  ['newMessage', 'new-message'],
  ['NEW MESSAGE', 'new-message'],
  ['message-updatd', 'message-updated'],
  ['pongs', 'pong'],
  ['presense', 'presence'],
])('%s is misspelt for %s', (name, expected) => {
  expect(misspelt(name, KNOWN)).toBe(expected);
});

test.each(['new-message', 'new-order', 'order-created', 'message-new', 'x'.repeat(100_000)])(
  '%s is misspelt for nothing',
  (name) => {
    expect(misspelt(name, KNOWN)).toBeUndefined();
  },
);
