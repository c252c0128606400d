import { expect, test } from 'vitest';
import { createLastPositions } from '../src/group-log/last-positions.ts';

const at = (seq: number, epoch = '1-a') => ({ epoch, seq });

test('answers that come late lower nothing, and a newer epoch is higher whatever its number', () => {
  const positions = createLastPositions(2);
  expect(positions.get('g')).toBeNull();
  positions.raise('g', at(7));
  positions.raise('g', at(6));
  expect(positions.get('g')).toEqual(at(7));
  positions.raise('g', at(1, '2-b'));
  positions.raise('g', at(8));
  expect(positions.get('g')).toEqual(at(1, '2-b'));
});

test('has a bound, and forgets the group that was quiet longest', () => {
  const positions = createLastPositions(2);
  positions.raise('quiet', at(1));
  positions.raise('busy', at(1));
  positions.raise('quiet', at(2));
  positions.raise('new', at(1));
  expect([positions.get('busy'), positions.get('quiet'), positions.get('new')]).toEqual([null, at(2), at(1)]);
});
