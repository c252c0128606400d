import { describe, expect, test } from 'vitest';
import {
  type ConnectionEvent,
  type ConnectionState,
  nextState,
  TRANSITIONS,
} from '../src/connection/connection-states.ts';

const states = Object.keys(TRANSITIONS) as ConnectionState[];
const events = Object.keys(TRANSITIONS.idle) as ConnectionEvent[];
const walk = (...path: ConnectionEvent[]): ConnectionState => path.reduce(nextState, 'idle' as ConnectionState);

describe('states of the connection', () => {
  test('every state is reached from idle, and every one can end', () => {
    const reached = new Set<ConnectionState>(['idle']);
    for (const state of reached) for (const event of events) reached.add(nextState(state, event));
    expect([...reached].toSorted()).toEqual(states.toSorted());
    expect(states.map((state) => nextState(state, 'end'))).toEqual(states.map(() => 'ended'));
  });

  test('a connection opens as recovering, and is connected when everything is there', () => {
    expect(walk('attempt', 'opened')).toBe('recovering');
    expect(walk('attempt', 'opened', 'caught-up')).toBe('connected');
    expect(walk('attempt', 'opened', 'caught-up', 'behind')).toBe('recovering');
  });

  test('while polling works, attempts do not show', () => {
    expect(walk('attempt', 'lost', 'polled', 'attempt', 'lost', 'attempt')).toBe('degraded-polling');
    expect(walk('attempt', 'lost', 'polled', 'poll-failed')).toBe('waiting');
    expect(walk('attempt', 'lost', 'polled', 'attempt', 'poll-failed', 'opened')).toBe('recovering');
  });

  test('only a new attempt leads out of the end', () => {
    for (const event of events.filter((name) => name !== 'attempt')) expect(nextState('ended', event)).toBe('ended');
    expect(nextState('ended', 'attempt')).toBe('connecting');
  });
});
