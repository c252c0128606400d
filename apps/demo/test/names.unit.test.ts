import { describe, expect, test } from 'vitest';
import { initialsOf } from '../src/graphemes.ts';
import { displayName, userIdFor } from '../src/names.ts';

const isWellFormed = (text: string): boolean => encodeURIComponent(text) !== '';

describe('names of people', () => {
  test('have initials that a reader takes for characters: emoji, flags and accents in one piece', () => {
    expect(initialsOf('Alice Ärmel')).toBe('AÄ');
    expect(initialsOf('😀 😎')).toBe('😀😎');
    expect(initialsOf('👩‍👩‍👧 family')).toBe('👩‍👩‍👧F');
    expect(initialsOf('🇩🇪 team of three')).toBe('🇩🇪T');
    expect(initialsOf('e\u0301lan')).toBe('E\u0301');
    expect(initialsOf('   ')).toBe('');
    for (const name of ['😀', '👩‍👩‍👧', '𐐨x']) expect(isWellFormed(initialsOf(name))).toBe(true);
  });

  test('begin with a capital letter, whatever it is made of', () => {
    expect(displayName(userIdFor('zoë b'))).toBe('Zoë B');
    expect(displayName(userIdFor('😀 face'))).toBe('😀 Face');
    expect(displayName(userIdFor('𐐨x'))).toBe('𐐀x');
    expect(displayName('someone-else')).toBe('someone-else');
  });
});
