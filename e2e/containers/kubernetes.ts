import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ObjectMeta } from 'kubernetes-types/meta/v1.js';
import { parseAllDocuments } from 'yaml';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** As much of a Kubernetes object as the tests look at. */
export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta & { name: string; labels: Record<string, string> };
  spec: Record<string, unknown>;
}

export const objectsOf = (text: string): KubernetesObject[] =>
  parseAllDocuments(text).flatMap((document) => (document.toJS() as KubernetesObject | null) ?? []);

/** Where `kubernetes-types` (of Kubernetes 1.30) has the type of each kind. */
const TYPES: Readonly<Record<string, string>> = {
  'apps/v1': 'apps/v1',
  'autoscaling/v2': 'autoscaling/v2',
  'networking.k8s.io/v1': 'networking/v1',
  'policy/v1': 'policy/v1',
  v1: 'core/v1',
};
/** Custom resources, of which that package knows nothing: the fields of theirs that the chart sets. */
const CUSTOM: Readonly<Record<string, string>> = {
  ServiceMonitor: `import type { LabelSelector, ObjectMeta } from 'kubernetes-types/meta/v1.js';
export interface ServiceMonitor {
  apiVersion: 'monitoring.coreos.com/v1';
  kind: 'ServiceMonitor';
  metadata: ObjectMeta;
  spec: { jobLabel?: string; selector: LabelSelector; endpoints: { port: string; path?: string; interval?: string }[] };
}`,
};

/**
 * Holds objects to the types of Kubernetes. Returns the compiler's messages about fields that they do not have, values of another type, and
 * fields that are missing; none if all is well.
 */
export function complaintsOf(files: Readonly<Record<string, readonly KubernetesObject[]>>): string {
  const folder = mkdtempSync(join(ROOT, '.cache', 'kubernetes-'));
  try {
    for (const [kind, text] of Object.entries(CUSTOM)) writeFileSync(join(folder, `${kind}.ts`), text);
    for (const [name, objects] of Object.entries(files)) {
      const lines = objects.map((object, number) => {
        const type =
          CUSTOM[object.kind] === undefined
            ? `kubernetes-types/${TYPES[object.apiVersion] ?? 'unknown'}`
            : `./${object.kind}.ts`;
        return `export const object${number}: import('${type}').${object.kind} = ${JSON.stringify(object, undefined, 1)};`;
      });
      writeFileSync(join(folder, `${name}.ts`), lines.join('\n'));
    }
    const options = {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: [],
      module: 'preserve',
      moduleResolution: 'bundler',
      allowImportingTsExtensions: true,
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['*.ts'] }));
    execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder, '--pretty', 'false'], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
    return '';
  } catch (error) {
    return (error as { stdout?: string }).stdout ?? String(error);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
