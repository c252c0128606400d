import { join } from 'node:path';
import { importsOf, type ParsedFile } from './source-tree.ts';

/** A package's folders and root files, from top to bottom. Entries of one row may not import each other. */
export type Layers = readonly (string | readonly string[])[];

/** One file imports another one, or a package. */
export interface Import {
  from: string;
  to: string;
}

/** The imports between the files of one package, which are named from its `src`. */
export function importsWithin(name: string, files: readonly ParsedFile[]): Import[] {
  const src = `${name}/src/`;
  return files
    .filter(({ path }) => path.startsWith(src))
    .flatMap((file) => {
      const from = file.path.slice(src.length);
      return importsOf(file)
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => ({ from, to: join(from, '..', specifier) }));
    });
}

/** The imports from one package to another, by name or by path; both ends are named from the root. */
export function importsBetween(names: readonly string[], files: readonly ParsedFile[]): Import[] {
  const packageOf = (path: string): string | undefined => names.find((name) => path.startsWith(`${name}/`));
  return files.flatMap((file) => {
    const from = packageOf(file.path);
    return importsOf(file).flatMap((specifier) => {
      const named = /^@groupcast\/([^/]+)/.exec(specifier)?.[1];
      const to = specifier.startsWith('.')
        ? packageOf(join(file.path, '..', specifier))
        : names.find((name) => named !== undefined && name.endsWith(`/${named}`));
      return to === undefined || to === from ? [] : [{ from: file.path, to }];
    });
  });
}

/** Where a file stands: the longest entry that is the file itself or a folder that it is in. */
export function layerOf(file: string, layers: Layers): { row: number; entry: string } | undefined {
  const entries = layers.flatMap((row, index) => [row].flat().map((entry) => ({ row: index, entry })));
  const around = entries.filter(({ entry }) => file === entry || file.startsWith(`${entry}/`));
  return around.toSorted((a, b) => b.entry.length - a.entry.length)[0];
}

/** Files that stand in no layer, and layers that have no file. */
export function unplaced(files: readonly string[], layers: Layers): string[] {
  const strays = files.filter((file) => !layerOf(file, layers)).map((file) => `${file} stands in no layer`);
  const used = new Set(files.map((file) => layerOf(file, layers)?.entry));
  const empty = layers.flat().filter((entry) => !used.has(entry));
  return [...strays, ...empty.map((entry) => `${entry} has no files`)];
}

/** Imports that do not point down. Within one entry of the list, a folder, every import is welcome. */
export function upwardImports(imports: readonly Import[], layers: Layers): Import[] {
  return imports.filter(({ from, to }) => {
    const [above, below] = [layerOf(from, layers), layerOf(to, layers)];
    return above && below && above.entry !== below.entry && above.row >= below.row;
  });
}

/** One line for each two layers that have imports pointing up; it says whether the two import each other. */
export function describeUpward(imports: readonly Import[], layers: Layers): string[] {
  const ways = new Set(imports.map((each) => wayOf(each, layers)));
  const faults = new Map<string, string[]>();
  for (const each of upwardImports(imports, layers)) {
    const [from, to] = [layerOf(each.from, layers)?.entry, layerOf(each.to, layers)?.entry];
    const heading = ways.has(`${to} ${from}`)
      ? `${from} and ${to} import each other`
      : `${from} imports ${to}, which is not below it`;
    faults.set(heading, [...(faults.get(heading) ?? []), `${each.from} -> ${each.to}`]);
  }
  return [...faults].map(([heading, lines]) => `${heading}: ${lines.join(', ')}`).toSorted();
}

function wayOf({ from, to }: Import, layers: Layers): string {
  return `${layerOf(from, layers)?.entry} ${layerOf(to, layers)?.entry}`;
}

/**
 * Circles of files, each as its files in order, the shortest first. An import is part of one of them at most, so that each has to be broken
 * by itself. An import of types only counts as any other.
 */
export function circles(imports: readonly Import[]): string[][] {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of imports) next.set(from, (next.get(from) ?? new Set()).add(to));
  const found: string[][] = [];
  for (let circle = shortestCircle(next); circle; circle = shortestCircle(next)) {
    found.push(circle);
    for (const [index, file] of circle.entries()) next.get(file)?.delete(circle[(index + 1) % circle.length] ?? '');
  }
  return found;
}

function shortestCircle(next: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const all = [...next.keys()].flatMap((file) => wayBack(file, next) ?? []);
  return all.toSorted((a, b) => a.length - b.length)[0];
}

/** The shortest way from a file back to it. */
function wayBack(start: string, next: ReadonlyMap<string, ReadonlySet<string>>): [string[]] | undefined {
  const cameFrom = new Map<string, string>();
  // The loop visits files added meanwhile as well: breadth first.
  const open = new Set([start]);
  for (const file of open) {
    for (const to of next.get(file) ?? []) {
      if (to === start) {
        const way: string[] = [];
        for (let at: string | undefined = file; at !== undefined; at = cameFrom.get(at)) way.unshift(at);
        return [way];
      }
      if (!open.has(to)) cameFrom.set(to, file);
      open.add(to);
    }
  }
  return undefined;
}
