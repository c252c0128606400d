// Prints the ten longest functions of all sources, or as many as are asked for: npm run longest-functions -- 30
import { type FunctionInfo, functionsOf, type ParsedFile, parsedFiles } from './source-tree.ts';

/** The functions of all `src` folders, the longest first. */
export function longestFunctions(files: readonly ParsedFile[]): FunctionInfo[] {
  const sources = files.filter(({ path }) => /^[^/]+\/[^/]+\/src\//.test(path));
  return sources.flatMap(functionsOf).toSorted((a, b) => b.lines - a.lines);
}

if (process.argv[1]?.endsWith('longest-functions.ts')) {
  for (const { lines, name, path, line } of longestFunctions(parsedFiles()).slice(0, Number(process.argv[2] ?? 10))) {
    console.log(`${String(lines).padStart(4)}  ${name}  ${path}:${line}`);
  }
}
