import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';

const UNITS = ['deploy/systemd/groupcast-api.service', 'deploy/systemd/groupcast-relay@.service'];
const run = (file: string, ...args: string[]): string => execFileSync(file, args, { encoding: 'utf8', stdio: 'pipe' });

test('systemd accepts the units, and finds them well protected', () => {
  if (!existsSync('/usr/bin/systemd-analyze'))
    run('apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'systemd');
  expect(run('systemd-analyze', 'verify', ...UNITS)).toBe('');
  for (const unit of UNITS) {
    const judgement = run('systemd-analyze', 'security', '--offline=yes', '--threshold=20', '--no-pager', unit);
    expect(judgement).toMatch(/Overall exposure level for groupcast-\S+: 1\.\d OK/);
  }
});
