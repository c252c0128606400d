import { describe, expect, test } from 'vitest';
import { piecesOf } from '../src/links.ts';

const links = (content: string): string[] =>
  piecesOf(content).flatMap((piece) => (typeof piece === 'string' ? [] : [piece.text]));
const whole = (content: string): string =>
  piecesOf(content)
    .map((piece) => (typeof piece === 'string' ? piece : piece.text))
    .join('');

describe('links in a message', () => {
  test('are what begins with http:// or https://, without what ends the sentence', () => {
    expect(piecesOf('See https://example.com/a?b=c#d, please.')).toEqual([
      'See ',
      { href: 'https://example.com/a?b=c#d', text: 'https://example.com/a?b=c#d', at: 4 },
      ', please.',
    ]);
    expect(links('(https://en.wikipedia.org/wiki/Relay_(disambiguation)) and [http://localhost:3000].')).toEqual([
      'https://en.wikipedia.org/wiki/Relay_(disambiguation)',
      'http://localhost:3000',
    ]);
    expect(links('https://münchen.example/straße!')).toEqual(['https://münchen.example/straße']);
  });

  test('never are a script, another scheme, or an address that shows one host and leads to another', () => {
    const harmless = [
      'javascript:alert(1)',
      'data:text/html,x',
      'ftp://example.com',
      'example.com',
      'https://bank.example@evil.example/',
      'https://',
      `https://example.com/${'a'.repeat(3_000)}`,
    ];
    for (const text of harmless) expect([text, links(text)]).toEqual([text, []]);
    expect(links('https://example.com/"onmouseover="alert(1)')).toEqual(['https://example.com/']);
  });

  test('all pieces together are the message, and a hundred links are enough', () => {
    const content = `😀 ${'https://example.com/x. '.repeat(150)}\n<end>`;
    expect(whole(content)).toBe(content);
    expect(links(content)).toHaveLength(100);
    expect(piecesOf('')).toEqual([]);
  });

  // As long as messages may be. What looked at every bracket again for each that it took away did not end in time.
  test.each([')', ']}', '.', '(', '()', ').'])('take no longer than the message is long: %s', (end) => {
    const content = `https://a.example/${end.repeat(60_000 / end.length)}`;
    expect(whole(content)).toBe(content);
  });

  test('keep the brackets that they have opened, and only these', () => {
    expect(links('https://a.example/(b)(c))) https://a.example/[(b)]) https://a.example/{b}}.)')).toEqual([
      'https://a.example/(b)(c)',
      'https://a.example/[(b)]',
      'https://a.example/{b}',
    ]);
    expect(links(`https://a.example/${')'.repeat(3_000)}`)).toEqual(['https://a.example/']);
    // Nobody wants a part of an address.
    expect(links(`https://a.example/${'a'.repeat(2_020)}${'.'.repeat(20)}b`)).toEqual([]);
  });
});
