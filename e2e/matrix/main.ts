// `npm run test:packages`: installs the packed tarballs as users do, from the registry, and judges every cell of
// {broadcaster, client} × {ESM, CommonJS} × {compilers, test runners, bundlers, frameworks}. `--only Jest` takes the tools of that name.
import { startSystem } from '@groupcast/testing';
import { judgeAll, tableOf } from './cells.ts';
import { compilerCells } from './compilers.ts';
import { frameworkCells } from './frameworks.ts';
import { nextCells } from './next.ts';
import { openWorkshop } from './workshop.ts';

const only = process.argv[process.argv.indexOf('--only') + 1] ?? '';
const wanted = process.argv.includes('--only') ? only : '';

const workshop = await openWorkshop();
const system = await startSystem();
const next = nextCells(workshop, system);
try {
  const others = [...compilerCells(workshop, system), ...frameworkCells(workshop, system)];
  const cells = [...others, ...next.cells];
  const judged = await judgeAll(cells.filter(({ tool }) => tool.toLowerCase().includes(wanted.toLowerCase())));
  for (const { cell, problem } of judged) {
    if (problem !== undefined) console.log(`${cell.tool}, ${cell.name} ${cell.format}:\n${problem}\n`);
  }
  const failed = judged.filter(({ problem }) => problem !== undefined).length;
  console.log(`${tableOf(judged)}\n\n${judged.length - failed} of ${judged.length} cells work`);
  if (failed > 0 || judged.length === 0) process.exitCode = 1;
} finally {
  await next.stop();
  await system.stop();
  workshop.remove();
}
