// Prints the ten longest functions of all sources, or as many as are asked for: `npm run longest-functions -- 30`.
import { type FunctionInfo, functionsOf, type ParsedFile, parsedFiles } from './source-tree.ts';

/** The functions of all `src` folders, the longest first. */
export function longestFunctions(files: readonly ParsedFile[]): FunctionInfo[] {
  const sources = files.filter(({ path }) => /^[^/]+\/[^/]+\/src\//.test(path));
  return sources.flatMap(functionsOf).toSorted((a, b) => b.lines - a.lines);
}

if (process.argv[1]?.endsWith('longest-functions.ts')) {
  console.log('lines  own  function');
  for (const each of longestFunctions(parsedFiles()).slice(0, Number(process.argv[2] ?? 10))) {
    const [lines, own] = [String(each.lines).padStart(5), String(each.ownLines).padStart(4)];
    console.log(`${lines} ${own}  ${each.name}  ${each.path}:${each.line}`);
  }
}
