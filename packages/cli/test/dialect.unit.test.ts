import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BUILT_IN, builtInFile } from '@groupcast/dialects';
import { afterAll, describe, expect, test } from 'vitest';
import { UsageError } from '../src/command.ts';
import { dialect } from '../src/commands/dialect.ts';

const folder = mkdtempSync(join(tmpdir(), 'groupcast-dialect-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}
const good = write('good.json', '{"name": "own", "events": {"new-message": {"event": "chat"}}}');
const doubtful = write('doubtful.json', '{"name": "own", "events": {"new-mesage": {}}}');
const bad = write('bad.json', '{"name": "own", "comands": {}, "events": {"a": {"evnt": "b"}}}');

async function run(...args: string[]): Promise<{ code: number; stdout: string }> {
  let text = '';
  const stdout = { write: (more: string) => void (text += more) };
  const context = { env: {}, stdout, stderr: stdout, stopped: new AbortController().signal };
  return { code: await dialect.run(args, context), stdout: text };
}

describe('groupcast dialect', () => {
  test('check names every fault on a line, with its file and path, and fails', async () => {
    expect(await run('check', good, bad)).toEqual({
      code: 1,
      stdout: [
        `${good}: the dialect "own" has no faults\n`,
        `${bad}: fault: events.a.evnt: is no key of a dialect here; did you mean "event"?\n`,
        `${bad}: fault: comands: is no key of a dialect here; did you mean "commands"?\n`,
      ].join(''),
    });
  });

  test('check names warnings, which are no faults', async () => {
    const { code, stdout } = await run('check', doubtful);
    expect(code).toBe(0);
    expect(stdout).toContain(`${doubtful}: warning: events.new-mesage: is no event of Groupcast's own`);
    expect(stdout).toContain('has no faults');
  });

  test('check names a file that cannot be read, a pipe and a misspelt path among them', async () => {
    const { code, stdout } = await run('check', 'native', '/dev/null');
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^native: fault: unable to read it; ENOENT.*\n\/dev\/null: fault: unable to read it; it is no file\n$/,
    );
  });

  test('check --json has all of it for programs', async () => {
    const { code, stdout } = await run('check', '--json', good, bad);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual([
      { file: good, name: 'own', faults: [], warnings: [] },
      { file: bad, faults: [expect.stringMatching(/^events\.a\.evnt: /), expect.any(String)], warnings: [] },
    ]);
  });

  test('writes no control characters of a file', async () => {
    const { stdout } = await run('check', write('control.json', '{"name": "own", "a\\u001b[31m\\n": 1}'));
    expect(stdout).not.toContain('\u001b');
    expect(stdout.split('\n')).toHaveLength(2);
  });

  test('show prints the file of a dialect, which has no faults under another name', async () => {
    for (const name of BUILT_IN) expect(await run('show', name)).toEqual({ code: 0, stdout: builtInFile(name) });
    const copy = write('copy.json', builtInFile('aurora').replace('"name": "aurora"', '"name": "ours"'));
    expect((await run('check', copy)).code).toBe(0);
  });

  test('list has the names, and what each is for', async () => {
    const { code, stdout } = await run('list');
    expect(code).toBe(0);
    expect(stdout.split('\n').map((line) => line.split(' ', 1)[0])).toEqual([...BUILT_IN, '']);
    const listed = JSON.parse((await run('list', '--json')).stdout) as { name: string; description: string }[];
    expect(listed.map(({ name }) => name)).toEqual(BUILT_IN);
    expect(listed.filter(({ description }) => description.length < 20)).toEqual([]);
  });

  test.each([
    [[], 'dialect needs an action; there are check, show, list'],
    [['chek'], 'there is no "dialect chek"; did you mean check?'],
    [['check'], 'dialect check needs a FILE'],
    [['show'], `dialect show needs one NAME of ${BUILT_IN.join(', ')}`],
    [['show', 'aurra'], 'there is no dialect "aurra"; did you mean aurora?'],
    [['show', '../package'], `there is no dialect "../package"; there are ${BUILT_IN.join(', ')}`],
    [['list', 'all'], 'dialect list takes no words'],
    [['check', '--jsn'], "unknown option '--jsn'"],
  ])('%j is wrong usage', async (args, message) => {
    const error = await run(...args).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toContain(message);
  });
});
