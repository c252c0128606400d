import { describe, expect, test } from 'vitest';
import { type Circuit, createCircuit, type Outcome } from '../src/upstream/circuit.ts';

interface Trial extends Circuit {
  states: string[];
  /** Lets time pass, in milliseconds. */
  pass(ms: number): void;
  /** Makes calls one after the other, and says how they went. */
  call(...outcomes: Outcome[]): void;
}

function start(): Trial {
  let at = 1_000;
  const states: string[] = [];
  const circuit = createCircuit({ onChange: (state) => states.push(state), now: () => at });
  const call = (...outcomes: Outcome[]): void => {
    for (const outcome of outcomes) circuit.begin()(outcome);
  };
  const trial = Object.create(circuit, { states: { value: states } }) as Trial;
  return Object.assign(trial, { call, pass: (ms: number) => (at += ms) });
}

const times = (count: number, outcome: Outcome): Outcome[] => Array.from({ length: count }, () => outcome);

describe('a circuit', () => {
  test('stays closed while failures come between answers, and opens at the fifth in a row', () => {
    const circuit = start();
    for (let n = 0; n < 20; n += 1) circuit.call(...times(4, 'failed'), 'answered');
    expect([circuit.state, circuit.refusal()]).toEqual(['closed', undefined]);
    circuit.call(...times(5, 'failed'));
    expect([circuit.state, circuit.refusal()]).toEqual(['open', 500]);
  });

  test('opens at a share of time-outs, though others are answered in between; of failures that come at once it does not', () => {
    const circuit = start();
    for (let n = 0; n < 20; n += 1) circuit.call('failed', 'answered');
    expect(circuit.state).toBe('closed');
    for (let n = 0; n < 9; n += 1) circuit.call('timed-out', 'answered');
    expect(circuit.state).toBe('closed');
    circuit.call('timed-out');
    expect(circuit.state).toBe('open');
  });

  test('lets one call try after the pause, refuses the others meanwhile, and closes with its answer', () => {
    const circuit = start();
    circuit.call(...times(5, 'timed-out'));
    circuit.pass(499);
    expect(circuit.refusal()).toBe(1);
    circuit.pass(1);
    expect(circuit.refusal()).toBeUndefined();
    const probe = circuit.begin();
    expect([circuit.state, circuit.refusal()]).toEqual(['half-open', 500]);
    probe('answered');
    expect([circuit.state, circuit.refusal()]).toEqual(['closed', undefined]);
    expect(circuit.states).toEqual(['open', 'half-open', 'closed']);
    // It has forgotten what was before.
    circuit.call(...times(4, 'timed-out'));
    expect(circuit.state).toBe('closed');
  });

  test('waits twice as long after each try that fails, 2 s at most, and half a second again after it has closed', () => {
    const circuit = start();
    circuit.call(...times(5, 'failed'));
    const pauses = Array.from({ length: 4 }, () => {
      const pause = circuit.refusal() ?? 0;
      circuit.pass(pause);
      circuit.call('failed');
      return pause;
    });
    expect(pauses).toEqual([500, 1_000, 2_000, 2_000]);
    circuit.pass(2_000);
    circuit.call('answered', ...times(5, 'failed'));
    expect(circuit.refusal()).toBe(500);
  });

  test('listens to no call that was begun before it changed', () => {
    const circuit = start();
    const [slow, slower] = [circuit.begin(), circuit.begin()];
    circuit.call(...times(5, 'failed'));
    slow('answered');
    expect(circuit.state).toBe('open');
    circuit.pass(500);
    const probe = circuit.begin();
    slower('timed-out');
    expect(circuit.state).toBe('half-open');
    probe('answered');
    expect(circuit.state).toBe('closed');
  });

  test('wants somebody to try when the pause has been over for a second, and nobody has', () => {
    const circuit = start();
    expect(circuit.isProbeDue()).toBe(false);
    circuit.call(...times(5, 'failed'));
    circuit.pass(1_499);
    expect(circuit.isProbeDue()).toBe(false);
    circuit.pass(1);
    expect(circuit.isProbeDue()).toBe(true);
    circuit.begin();
    expect(circuit.isProbeDue()).toBe(false);
  });
});
