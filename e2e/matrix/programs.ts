import { join } from 'node:path';
import { type System, TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { type Cell, expectWorks, type Format, node, type Package } from './cells.ts';
import { copyApp, write } from './workshop.ts';

/** Copies the program of a package into a folder whose files are of this format. */
export function copyProgram(folder: string, name: Package, format: Format): void {
  copyApp('programs', folder);
  write(folder, {
    'package.json': { type: format === 'ESM' ? 'module' : 'commonjs', private: true },
    'work.ts': `export * from './${name}.js';\n`,
  });
}

/** The environment in which a program finds the system, under a name that no other program has. */
export async function environment(system: System, name: string): Promise<Record<string, string>> {
  const { apiUrl, relayUrl, relayInternalUrl } = system;
  const serviceSecret = TEST_SECRETS.RELAY_SERVICE_SECRET;
  const userToken = await tokenFor('alice');
  return { GROUPCAST_MATRIX: JSON.stringify({ apiUrl, relayUrl, relayInternalUrl, serviceSecret, userToken, name }) };
}

export async function runProgram(folder: string, file: string, system: System, name: string): Promise<void> {
  expectWorks(await node(folder, [join(folder, file)], await environment(system, name)));
}

/** The name of a cell, for folders and groups. */
export const idOf = ({ tool, name, format }: Omit<Cell, 'judge'>): string =>
  `${tool}-${name}-${format}`.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
