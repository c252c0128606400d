import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CONFIGURATION_PROBLEM_CODES } from '@groupcast/service-kit';
import { expect, test } from 'vitest';
import { findingsOf, formatFindings } from '../src/configuration/findings.ts';

const REFERENCE = fileURLToPath(new URL('../../../docs/reference/commands.md', import.meta.url));

test('the reference lists the codes of problems as the services give them', () => {
  const section =
    readFileSync(REFERENCE, 'utf8').split('\n### Problems of a configuration\n')[1]?.split('\n## ')[0] ?? '';
  const listed = Array.from(section.matchAll(/^\| `([A-Z_]+)` \|/gm), (match) => match[1]);
  expect(listed).toEqual(CONFIGURATION_PROBLEM_CODES);
});

test('a problem that both services name is there once, with both', () => {
  const missing = { code: 'VARIABLE_MISSING', text: 'JWT_SECRET is missing' };
  const conflict = { code: 'VARIABLES_CONFLICT', text: 'API_PORT and PORT must not differ, got "1" and "2"' };
  const findings = findingsOf([
    { service: 'api', problems: [conflict, missing], warnings: ['DEMO is 1'] },
    { service: 'relay', problems: [missing], warnings: [] },
  ]);
  expect(findings).toEqual({
    ok: false,
    problems: [
      { code: 'VARIABLES_CONFLICT', variable: 'API_PORT', message: conflict.text, services: ['api'] },
      { code: 'VARIABLE_MISSING', variable: 'JWT_SECRET', message: missing.text, services: ['api', 'relay'] },
    ],
    warnings: [{ message: 'DEMO is 1', services: ['api'] }],
  });
  expect(formatFindings(findings, ['api', 'relay'])).toBe(
    [
      '✗ VARIABLES_CONFLICT  API_PORT and PORT must not differ, got "1" and "2" (api)',
      '✗ VARIABLE_MISSING    JWT_SECRET is missing (api, relay)',
      '! DEMO is 1 (api)',
      '2 problems, 1 warning in the configuration of api and relay',
      '',
    ].join('\n'),
  );
});
